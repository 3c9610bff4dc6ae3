/** `itc key`: makes and shows ledger keys, and changes which of them act for an account. A secret leaves its file only when asked to. */
import { mkdirSync, readFileSync } from 'node:fs';
import { sealKey, storedSigner, type StoredKey } from '@itc/client/keystore.js';
import { algorithmNamed, ALGORITHM_NAMES, type SecretAlgorithm } from '@itc/client/keys-secret.js';
import { entropyOf, PHRASE_ENTROPY, phraseOf } from '@itc/client/phrase.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { ED25519, type PublicKey } from '@itc/core/crypto/signature.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { didKeyOf, didOf } from '@itc/core/ledger/did.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { writeKeyFile, writeSecretFile } from '@itc/node/crypto/key-file.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemRandom } from '@itc/node/random.js';
import { layoutOf } from '../devnet/layout.ts';
import { keyPath, openKey, openStored } from '../keys.ts';
import { keyEntries } from '../names.ts';
import { integerOption, textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { GUARDING_HELP, guardians, recover, rotate } from './key-account.ts';

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

export const key: Command = {
  name: 'key',
  help: `itc key new NAME [--algorithm A] [--phrase] [--words N] [--plain]
itc key show NAME
itc key list
itc key import NAME [--algorithm A] [--account N] [--plain]     words from ITC_PHRASE or standard input
itc key export NAME                                             the words, or the secret, in the clear
${GUARDING_HELP}

Keys lie in the folder keys/ of the data folder. A new key is sealed under the passphrase in the environment
variable ITC_PASSPHRASE; with --plain it is not sealed, and readable by you alone.

Options:
  --algorithm A   ed25519 (default), p256, or ml-dsa-44, which a quantum computer is not known to forge
  --phrase        from a recovery phrase (BIP-39), which is shown once: write it down
  --words N       12, 15, 18, 21 or 24 (default 24)
  --account N     of a phrase with several (default 0)
  --plain         no passphrase (for a devnet)
  --to KEYS       names of keys here or did:key, each with :WEIGHT if it is not 1, with commas between
  --threshold N   weight that acts together (default: all)
  --of NAMES      guardians: addresses, or names of keys here, with commas between; "none" for none
  --delay TIME    from the guardians' agreement until it takes effect: 10s to 365d (default 7d)
  --key NAME      the account that acts (default owner)

Example:
  itc key new alice --phrase
  itc key guardians alice --of bob,carol,dave --threshold 2 --delay 7d
  itc key recover propose ITC1-OF-ALICE --to alice-new --key bob`,
  options: {
    plain: { type: 'boolean' },
    algorithm: { type: 'string' },
    phrase: { type: 'boolean' },
    words: { type: 'string' },
    account: { type: 'string' },
    to: { type: 'string' },
    threshold: { type: 'string' },
    of: { type: 'string' },
    delay: { type: 'string' },
    key: { type: 'string' },
  },
  run: async (call) => {
    const [verb, ...words] = call.arguments;
    if (verb === 'recover') return recover(call, words);
    const [name, ...rest] = words;
    if (rest.length > 0) throw new UsageError('too many arguments');
    if (verb === 'list' && name === undefined) return list(call);
    if (verb === 'new') return create(call, checkedName(name));
    if (verb === 'show') return show(call, checkedName(name));
    if (verb === 'import') return importPhrase(call, checkedName(name));
    if (verb === 'export') return exportSecret(call, checkedName(name));
    if (verb === 'rotate') return rotate(call, checkedName(name));
    if (verb === 'guardians') return guardians(call, checkedName(name));
    throw new UsageError('expected: new, show, list, import, export, rotate, guardians or recover');
  },
};

function checkedName(name: string | undefined): string {
  if (name === undefined || !NAME.test(name))
    throw new UsageError('a key is named with lower-case letters, digits and hyphens');
  return name;
}

function algorithmOption(call: Call): SecretAlgorithm {
  const name = textOption(call, 'algorithm') ?? ALGORITHM_NAMES[ED25519];
  const algorithm = algorithmNamed(name);
  if (algorithm === undefined)
    throw new UsageError(`expected --algorithm ${Object.values(ALGORITHM_NAMES).join(', ')}`);
  return algorithm;
}

/** Undefined with --plain. */
function newPassphrase(call: Call): string | undefined {
  if (call.options['plain'] === true) return undefined;
  const passphrase = process.env['ITC_PASSPHRASE'];
  if (passphrase === undefined || passphrase === '')
    throw new UsageError('set ITC_PASSPHRASE to seal the key, or give --plain');
  return passphrase;
}

async function create(call: Call, name: string): Promise<number> {
  const algorithm = algorithmOption(call);
  const passphrase = newPassphrase(call);
  const path = newPath(call, name);
  if (call.options['phrase'] === true) {
    const length = PHRASE_ENTROPY[integerOption(call, 'words', 24, { min: 12, max: 24 })];
    if (length === undefined) throw new UsageError('expected --words 12, 15, 18, 21 or 24');
    const stored: StoredKey = { kind: 'phrase', algorithm, entropy: systemRandom.bytes(length), account: 0 };
    await writeStored(path, stored, passphrase);
    return tell(call, name, storedSigner(stored), { path, phrase: phraseOf(stored.entropy) });
  }
  if (algorithm === ED25519) {
    // In the form that nodes read as well.
    const keys = KeyPair.generate(systemRandom);
    await writeKeyFile(path, { keys, ...(passphrase !== undefined && { passphrase }) });
    return tell(call, name, keys, { path });
  }
  const stored: StoredKey = { kind: 'secret', algorithm, secret: systemRandom.bytes(32) };
  await writeStored(path, stored, passphrase);
  return tell(call, name, storedSigner(stored), { path });
}

function newPath(call: Call, name: string): string {
  const layout = layoutOf(call.dataDir);
  mkdirSync(layout.keys, { recursive: true, mode: 0o700 });
  return keyPath(layout, name);
}

async function writeStored(path: string, stored: StoredKey, passphrase: string | undefined): Promise<void> {
  const random = (length: number): Uint8Array => systemRandom.bytes(length);
  await writeSecretFile(
    path,
    await sealKey(stored, { random, ...(passphrase !== undefined && { passphrase }) }),
  );
}

async function importPhrase(call: Call, name: string): Promise<number> {
  const algorithm = algorithmOption(call);
  const passphrase = newPassphrase(call);
  const entropy = entropyOf(process.env['ITC_PHRASE'] ?? readFileSync(0, 'utf8'));
  if (!entropy.ok) throw new LedgerError(entropy.code, entropy.message);
  const account = integerOption(call, 'account', 0, { min: 0, max: 2 ** 31 - 1 });
  const stored: StoredKey = { kind: 'phrase', algorithm, entropy: entropy.value, account };
  const path = newPath(call, name);
  await writeStored(path, stored, passphrase);
  return tell(call, name, storedSigner(stored), { path });
}

async function exportSecret(call: Call, name: string): Promise<number> {
  const stored = await openStored(call.dataDir, name);
  if (!(stored instanceof KeyPair) && stored.kind === 'phrase') {
    const phrase = phraseOf(stored.entropy);
    call.output.result({ name, phrase, account: stored.account }, [phrase]);
    return 0;
  }
  const secret = toHex(stored instanceof KeyPair ? stored.exportSeed() : stored.secret);
  const algorithm = ALGORITHM_NAMES[stored instanceof KeyPair ? ED25519 : stored.algorithm];
  call.output.result({ name, algorithm, secret }, [`${algorithm} ${secret}`]);
  return 0;
}

async function show(call: Call, name: string): Promise<number> {
  return tell(call, name, await openKey(call.dataDir, name), { path: keyPath(layoutOf(call.dataDir), name) });
}

function tell(
  call: Call,
  name: string,
  { publicKey, address }: { readonly publicKey: PublicKey; readonly address: Address },
  o: { readonly path: string; readonly phrase?: string },
): number {
  const text = formatAddress(address);
  const keyHex = toHex(publicKey.bytes);
  const did = didKeyOf(publicKey);
  const algorithm = ALGORITHM_NAMES[publicKey.algorithm as SecretAlgorithm];
  const { path: file, phrase } = o;
  call.output.result(
    {
      name,
      address: text,
      did: didOf(address),
      algorithm,
      publicKey: keyHex,
      key: did,
      file,
      ...(phrase !== undefined && { phrase }),
    },
    [
      `${name}  ${text}`,
      `algorithm   ${algorithm}`,
      `public key  ${keyHex.length > 80 ? `${keyHex.slice(0, 64)}… (${keyHex.length / 2} bytes)` : keyHex}`,
      `file        ${file}`,
      ...(phrase === undefined
        ? []
        : ['', 'Write these words down, in this order. They are not shown again:', phrase]),
    ],
  );
  return 0;
}

function list(call: Call): number {
  const keys = keyEntries(call.dataDir);
  call.output.result(
    { keys },
    keys.length === 0
      ? ['no keys yet; make one with: itc key new NAME']
      : table([
          ['NAME', 'ACCOUNT', 'ALGORITHM', ''],
          ...keys.map(({ name, address, algorithm, sealed }) => [
            name,
            address ?? 'not a key file',
            algorithm ?? '',
            sealed === true ? 'sealed' : '',
          ]),
        ]),
  );
  return 0;
}
