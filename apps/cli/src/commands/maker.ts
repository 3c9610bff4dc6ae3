/** `itc maker`: who makes devices, the key that stands for their batches, and their models (spec STATE-16). */
import { existsSync, readFileSync } from 'node:fs';
import { toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { ACTIONS, ACTIONS_ALL } from '@itc/core/ledger/terms.js';
import { registerCertifiedMaker, registerModel, setAttestation } from '@itc/client/devices.js';
import { registerMaker } from '@itc/client/transactions.js';
import { levelOption, termsOption } from '../grant-terms.ts';
import { openKey } from '../keys.ts';
import { accountOf } from '../options.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

export const maker: Command = {
  name: 'maker',
  help: `itc maker register NAME [--attestation KEY]
itc maker attestation KEY [--signed-by KEY]      another key for the batches; the one so far signs for it
itc maker model NAME [--document FILE] [--level-max N] [--kelvin A-B] [--no-level]
itc maker show [ACCOUNT]

With an attestation key, batches are registered only when that key has signed them and their model is registered: whoever
steals the maker's account alone makes no devices.

Options:
  --document FILE    Thing Model of the product; its hash names the model (default: derived from the name)
  --level-max N      greatest level, 0 to 254 or as 60%
  --kelvin A-B       colour temperatures it has, as 2200-6500; none when left out
  --no-level         on and off only
  --key NAME         the maker's key (default maker)

Example:
  itc maker register "Lumen" --attestation factory && itc maker model lamp-3 --kelvin 2200-6500`,
  options: {
    key: { type: 'string' },
    attestation: { type: 'string' },
    'signed-by': { type: 'string' },
    document: { type: 'string' },
    'level-max': { type: 'string' },
    kelvin: { type: 'string' },
    'no-level': { type: 'boolean' },
  },
  run: async (call) => {
    const [verb, word, ...rest] = call.arguments;
    if (verb === 'show' && rest.length === 0) return show(call, word ?? textOption(call, 'key') ?? 'maker');
    if (word === undefined || rest.length > 0)
      throw new UsageError('expected: register NAME, attestation KEY, model NAME or show');
    const wallet = await Wallet.open(
      call.api,
      await openKey(call.dataDir, textOption(call, 'key') ?? 'maker'),
    );
    if (verb === 'register') return register(call, wallet, word);
    if (verb === 'attestation') return attest(call, wallet, word);
    if (verb === 'model') return model(call, wallet, word);
    throw new UsageError('expected: register, attestation, model or show');
  },
};

async function register(call: Call, wallet: Wallet, name: string): Promise<number> {
  const attestation = textOption(call, 'attestation');
  const body =
    attestation === undefined
      ? registerMaker(name)
      : registerCertifiedMaker(name, (await openKey(call.dataDir, attestation)).publicKey);
  const sent = await wallet.send(body);
  const address = formatAddress(wallet.signer.address);
  call.output.result({ ok: true, ...sent, maker: address, name }, [
    `${name} is a maker since block ${sent.height}`,
    address,
  ]);
  return 0;
}

async function attest(call: Call, wallet: Wallet, name: string): Promise<number> {
  const { publicKey: key } = await openKey(call.dataDir, name);
  const signer = await openKey(call.dataDir, textOption(call, 'signed-by') ?? name);
  const { chain } = wallet;
  const sent = await wallet.send(await setAttestation({ chain, maker: wallet.signer.address, key, signer }));
  call.output.result({ ok: true, ...sent, attestation: toHex(key.bytes) }, [
    `batches are signed by ${name} since block ${sent.height}`,
  ]);
  return 0;
}

async function model(call: Call, wallet: Wallet, name: string): Promise<number> {
  const file = textOption(call, 'document');
  if (file !== undefined && !existsSync(file)) throw new UsageError(`--document: there is no file ${file}`);
  const bytes = file === undefined ? utf8Encode(`itc:model:${name}`) : new Uint8Array(readFileSync(file));
  const hash = sha256(bytes);
  // The same words as in a grant: a range of colour temperatures.
  const { colour } = termsOption({ ...call, options: pick(call, 'kelvin') }, 0);
  const isPlain = call.options['no-level'] === true;
  const actions = ACTIONS_ALL & ~(isPlain ? ACTIONS.level : 0) & ~(colour === undefined ? ACTIONS.colour : 0);
  const levelMax = levelOption(textOption(call, 'level-max'), '--level-max') ?? 254;
  const sent = await wallet.send(registerModel({ hash, name, actions, levelMax, ...(colour && { colour }) }));
  call.output.result({ ok: true, ...sent, model: toHex(hash), name }, [
    `model ${name} since block ${sent.height}`,
    toHex(hash),
  ]);
  return 0;
}

function pick(call: Call, name: string): Call['options'] {
  const value = call.options[name];
  return value === undefined ? {} : { [name]: value };
}

interface MakerAnswer {
  readonly address: string;
  readonly name: string;
  readonly attestation?: string;
  readonly models: readonly {
    readonly hash: string;
    readonly name: string;
    readonly actions: readonly string[];
    readonly levelMax: number;
    readonly colour?: { readonly min: number; readonly max: number };
  }[];
}

async function show(call: Call, who: string): Promise<number> {
  const address = formatAddress(accountOf(call, who));
  const found = await openClient(call.api).get<MakerAnswer>(`/ledger/makers/${address}`);
  call.output.result(
    found,
    table([
      ['maker', `${found.name}  ${found.address}`],
      ['attestation', found.attestation ?? 'none: the account alone vouches for its batches'],
      ...found.models.map(({ name, hash, actions, levelMax, colour }) => [
        'model',
        `${name}  ${actions.join(', ')}, level ≤ ${levelMax}${colour === undefined ? '' : `, ${colour.min}–${colour.max} K`}  ${hash}`,
      ]),
    ]),
  );
  return 0;
}
