/** Accounts of people, end to end: keys of every scheme, rotation, guardians, recovery, DIDs, each by the real `itc` against a devnet. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { actingFor } from '@itc/client/keys.js';
import { assembleShared, draftShared, formatDraft, parseDraft, signDraft } from '@itc/client/keys-shared.js';
import { transfer } from '@itc/client/transactions.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { openKey } from '../keys.ts';
import { Wallet } from '../wallet.ts';
import { TestDevnet } from './devnet.ts';
import { json, run } from './itc.ts';

const devnet = new TestDevnet();
const ITC = 1_000_000_000n;

suite('keys of people', () => {
  before(() => devnet.start(['--no-simulation', '--validators', '1', '--gateways', '1']));
  after(() => devnet.remove());

  const addresses = new Map<string, Address>();

  async function itc(...argv: string[]): Promise<Record<string, unknown>> {
    const ran = await devnet.itc([...argv, '--json', '--quiet']);
    assert.equal(ran.code, 0, `itc ${argv.join(' ')}: ${ran.stderr}${ran.stdout}`);
    return json(ran);
  }

  async function make(name: string, ...options: string[]): Promise<Record<string, unknown>> {
    const ran = await devnet.itc(['key', 'new', name, '--plain', '--json', ...options]);
    assert.equal(ran.code, 0, ran.stderr);
    const made = json(ran);
    const address = parseAddress(String(made['address']));
    assert.ok(address.ok);
    addresses.set(name, address.value);
    return made;
  }

  const addressOf = (name: string): Address => addresses.get(name) as Address;

  async function walletOf(name: string): Promise<Wallet> {
    return Wallet.open(devnet.ready.api, await openKey(devnet.folder, name));
  }

  async function pay(from: string, to: Address, value = ITC): Promise<void> {
    await (await walletOf(from)).send(transfer(to, amount(value)), from === 'owner' ? 15 : 0);
  }

  test('accounts of Ed25519, P-256 and ML-DSA-44 are made, funded, and pay', async () => {
    for (const [name, ...options] of [
      ['alice'],
      ['bob', '--algorithm', 'p256'],
      ['carol', '--algorithm', 'ml-dsa-44'],
      ['dave', '--algorithm', 'p256', '--phrase'],
    ] as [string, ...string[]][]) {
      const made = await make(name, ...options);
      assert.equal(statSync(String(made['file'])).mode & 0o777, 0o600);
      await pay('owner', addressOf(name), 20n * ITC);
    }
    await pay('bob', addressOf('alice'));
    await pay('carol', addressOf('alice'));
    await pay('dave', addressOf('alice'));
    assert.equal((await devnet.client.account(addressOf('alice'))).balance, 23n * ITC);
  });

  test('a phrase brings its account back', async () => {
    const exported = await devnet.itc(['key', 'export', 'dave', '--json']);
    const phrase = String(json(exported)['phrase']);
    assert.equal(phrase.split(' ').length, 24);
    const ran = await devnet.itc(
      ['key', 'import', 'dave-again', '--algorithm', 'p256', '--plain', '--json'],
      {
        env: { ITC_PHRASE: phrase.toUpperCase() },
      },
    );
    assert.equal(ran.code, 0, ran.stderr);
    const dave = await openKey(devnet.folder, 'dave');
    assert.deepEqual((await openKey(devnet.folder, 'dave-again')).address, dave.address);
    const wrong = await devnet.itc(['key', 'import', 'dave-wrong', '--plain'], {
      env: { ITC_PHRASE: `${phrase} more` },
    });
    assert.equal(wrong.code, 1);
  });

  test('STATE-15.2, by itc: rotated to ML-DSA-44 the address stays, and the first key is refused', async () => {
    const did = String(json(await devnet.itc(['key', 'show', 'alice', '--json']))['did']);
    await make('alice-2', '--algorithm', 'ml-dsa-44');
    await itc('key', 'rotate', 'alice', '--to=alice-2');
    const next = await openKey(devnet.folder, 'alice-2');
    assert.deepEqual(next.address, addressOf('alice'), 'the new key is used for the account from now on');
    await (await walletOf('alice-2')).sendProvable(transfer(addressOf('bob'), amount(ITC)));
    await assert.rejects(pay('alice', addressOf('bob')), { code: 'account.signers' });
    const proof = join(devnet.folder, 'alice.proof');
    const resolved = await itc('did', 'resolve', did, `--proof=${proof}`);
    const { verificationMethod } = resolved['document'] as {
      verificationMethod: { publicKeyMultibase: string }[];
    };
    assert.equal(verificationMethod.length, 1);
    const offline = await itc(
      'did',
      'verify',
      did,
      `--proof=${proof}`,
      `--genesis=${join(devnet.folder, 'genesis.bin')}`,
      '--api=http://127.0.0.1:9',
    );
    assert.deepEqual(offline['document'], resolved['document']);
    assert.ok(readFileSync(proof).length < 16_384);
  });

  test('STATE-15.3: an account of three keys pays when two of them sign apart', async () => {
    await make('eve');
    await pay('owner', addressOf('eve'), 20n * ITC);
    await itc('key', 'rotate', 'eve', '--to=eve,bob,carol,dave', '--threshold=2');
    const { chain, genesis } = await devnet.client.genesis();
    const [bob, carol] = [await openKey(devnet.folder, 'bob'), await openKey(devnet.folder, 'carol')];
    const draft = draftShared({
      chain,
      account: addressOf('eve'),
      signers: [bob.publicKey, carol.publicKey],
      body: transfer(addressOf('alice'), amount(ITC)),
      nonce: await devnet.client.nextNonce(addressOf('eve')),
      feePerByte: genesis.feePerByte,
      validUntil: height((await devnet.status()).height + 1000),
    });
    const there = parseDraft(formatDraft(draft));
    assert.ok(there.ok);
    const shares = [await signDraft(draft, bob), await signDraft(there.value, carol)];
    const built = assembleShared(draft, shares, verifySignature);
    assert.ok(built.ok);
    const final = await devnet.client.submitAndWait(built.value);
    assert.equal(final.status.receipt?.ok, true);
    await assert.rejects(
      async () => {
        const wallet = await Wallet.open(devnet.ready.api, actingFor(addressOf('eve'), bob));
        await wallet.send(transfer(addressOf('alice'), amount(1n)));
      },
      { code: 'account.signers' },
    );
  });

  test('CLIENT-20.6: a file goes from holder to holder, each signs with a key of another scheme, offline too; it is sent when enough have', async () => {
    const file = join(devnet.folder, 'pay.json');
    const at = ['--data-dir', devnet.folder];
    const words = ['transfer', formatAddress(addressOf('alice')), '1', '--key', 'dave'];
    const account = formatAddress(addressOf('eve'));
    const drafted = await run(['tx', 'draft', file, '--account', account, '--json', ...at, '--', ...words]);
    assert.equal(drafted.code, 0, drafted.stderr);
    const { weight, threshold, complete } = json(drafted);
    assert.deepEqual([weight, threshold, complete], [1, 2, false]);
    const lamp = await run(['tx', 'draft', file, ...at, '--', 'lamp', 'on', 'lamp-1']);
    assert.equal(lamp.code, 2, 'a lamp must not be switched by what is only to be drafted');
    const early = await devnet.itc(['tx', 'send', file]);
    assert.equal(early.code, 1);
    assert.match(early.stderr, /signed with weight 1 of 2; missing: (?:(?:eve|bob|carol)(?:, )?){3}$/m);
    // Without any node: what is signed is in the file.
    const offline = await devnet.itc(['tx', 'sign', file, '--key', 'eve', '--api', 'http://127.0.0.1:9']);
    assert.equal(offline.code, 0, offline.stderr);
    assert.match(offline.stderr, /asks for +transfer[^]*amount +1 ITC/);
    const before_ = (await devnet.client.account(addressOf('alice'))).balance;
    await itc('tx', 'send', file);
    assert.equal((await devnet.client.account(addressOf('alice'))).balance, before_ + ITC);
  });

  test('STATE-15.6, by itc: guardians give a lost account another key after the delay; a veto ends it before', async () => {
    await make('frank');
    await make('frank-new', '--algorithm', 'p256');
    await pay('owner', addressOf('frank'), 20n * ITC);
    await itc('key', 'guardians', 'frank', '--of=bob,carol,dave', '--threshold=2', '--delay=20s');
    const account = String(json(await devnet.itc(['key', 'show', 'frank', '--json']))['address']);
    for (const guardian of ['bob', 'carol'])
      await itc('key', 'recover', 'propose', account, '--to=frank-new', `--key=${guardian}`);
    await itc('key', 'recover', 'veto', account, '--key=frank');
    for (const guardian of ['carol', 'dave'])
      await itc('key', 'recover', 'propose', account, '--to=frank-new', `--key=${guardian}`);
    const proposed = performance.now();
    const early = await devnet.itc(['key', 'recover', 'finish', account, '--to=frank-new', '--key=bob']);
    assert.equal(early.code, 1);
    assert.match(early.stderr, /recovery\.early|possible from/);
    await sleep(Math.max(0, proposed + 20_000 - performance.now()));
    // Time is that of blocks, which an idle chain makes when something is sent.
    await pay('bob', addressOf('carol'), 1n);
    await itc('key', 'recover', 'finish', account, '--to=frank-new', '--key=bob');
    await pay('frank-new', addressOf('bob'));
    await assert.rejects(pay('frank', addressOf('bob')), { code: 'account.signers' });
  });
});
