/** Validators that come and go while a devnet runs: by command, with readings proved across the changes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { followChain } from '@itc/core/light/certified.js';
import { decodeReadingProof, encodeReadingProof } from '@itc/core/light/reading-proof.js';
import { trustGenesis } from '@itc/core/light/trust.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { verifyReadingBytes } from '@itc/core/light/reading-proof.js';
import type { Reading } from '@itc/client/api.js';
import { openKey } from '../keys.ts';
import { parseProofFile } from '../proof-file.ts';
import { TestDevnet, until } from './devnet.ts';
import { json, run } from './itc.ts';

const net = new TestDevnet();
before(() => net.start());
after(() => net.remove());

const proofs: { readonly path: string; readonly epoch: number; readonly reading: Reading }[] = [];

/** A reading of now, final in the present epoch, as a file. */
async function prove(name: string): Promise<void> {
  const { epoch, since } = await net.client.validators();
  const began = Date.now();
  const reading = await until('a reading of this epoch is final', async () => {
    const all = await net.client.readings('sensor-1', { limit: 50 });
    return all.find(({ status, time }) => status === 'final' && time > began);
  });
  const path = join(net.folder, `${name}.json`);
  const made = await net.itc(['proof', reading.id, '--out', path, '--json']);
  assert.equal(made.code, 0, made.stderr);
  assert.ok(Number(json(made)['height']) >= since);
  proofs.push({ path, epoch, reading });
}

async function change(verb: 'add' | 'remove', name: string): Promise<Record<string, unknown>> {
  const ran = await net.itc(['devnet', 'validator', verb, name, '--json'], { timeoutMs: 180_000 });
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  assert.match(ran.stderr, /votes for weight/);
  assert.match(ran.stderr, /epoch \d+ has begun/);
  return json(ran);
}

async function weights(): Promise<Record<string, unknown>[]> {
  const ran = await net.itc(['validator', 'list', '--json']);
  assert.equal(ran.code, 0, ran.stderr);
  return json(ran)['validators'] as Record<string, unknown>[];
}

test('NODE-7.17: a fifth validator joins by one command, decides from the next epoch on, and is missed like any other', async () => {
  await prove('before');
  const joined = await change('add', 'validator-5');
  assert.deepEqual([joined['epoch'], joined['weight'], joined['total'], joined['strong']], [1, 1, 5, 4]);
  assert.equal((await weights()).filter(({ state }) => state === 'active').length, 5);
  const told = await net.itc(['validator', 'list']);
  assert.match(told.stdout, /validator-5 +active +1 .*co-signs$/m);
  await net.control('kill', 'validator-1');
  await prove('between');
  await net.control('start', 'validator-1');
  await until('validator-1 is back', async () => {
    const { height } = await net.status();
    return (await net.at('validator-1').status()).height >= height;
  });
});

test('NODE-7.18: one leaves by command: voted out, then stopped; the others go on without it', async () => {
  const left = await change('remove', 'validator-2');
  assert.deepEqual([left['epoch'], left['weight'], left['total'], left['strong']], [2, 0, 4, 3]);
  const { processes = [] } = await net.status();
  assert.equal(processes.find(({ name }) => name === 'validator-2')?.state, 'stopped');
  await net.control('kill', 'validator-3');
  await prove('after');
  await net.control('start', 'validator-3');
});

test('NODE-7.23: who has joined co-signs like those who began; a reading of its epoch is proved by co-signatures alone', async () => {
  const [, between] = proofs;
  assert.ok(between);
  const path = join(net.folder, 'quantum.json');
  await until('a co-signed checkpoint above the reading', async () => {
    const made = await net.itc(['proof', between.reading.id, '--out', path, '--quantum', '--json']);
    return made.code === 0;
  });
  const argv = ['verify', path, '--genesis', net.ready.chain, '--demand-co-signatures', '--json'];
  const ran = await run(argv, { env: { ITC_API: 'http://127.0.0.1:1' } });
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  assert.equal(json(ran)['valid'], true);
  const address = formatAddress((await openKey(net.folder, 'validator-5')).address);
  const key = (await weights()).find((one) => one['address'] === address)?.['coSigning'] as { key: string };
  // A node gathers no more signatures than are enough: its own is among those it has.
  await until('validator-5 has co-signed', async () => {
    const answer = await fetch(`${net.at('validator-5').url}/api/v1/co-signatures`);
    const { coSigners } = (await answer.json()) as { coSigners: { key?: string; hasSigned: boolean }[] };
    assert.ok(coSigners.every((one) => one.key !== undefined));
    return coSigners.some((one) => one.key === key.key && one.hasSigned);
  });
});

test('LIGHT-7.7, NODE-8.4: readings of before, between and after hold offline from the genesis hash alone; without their hops they do not', async () => {
  assert.deepEqual(
    proofs.map(({ epoch }) => epoch),
    [0, 1, 2],
  );
  const genesis = net.ready.chain;
  const offline = { env: { ITC_API: 'http://127.0.0.1:1', ITC_DATA_DIR: join(net.folder, 'nothing-here') } };
  const hash = fromHex(genesis);
  assert.ok(hash.ok);
  const genesisHash = asHash(hash.value);
  for (const { path, epoch, reading } of proofs) {
    const ran = await run(['verify', path, '--genesis', genesis, '--json'], offline);
    assert.equal(ran.code, 0, ran.stdout);
    const verdict = json(ran);
    assert.deepEqual(
      [verdict['valid'], verdict['epoch'], verdict['total']],
      [true, epoch, epoch === 1 ? 5 : 4],
    );
    assert.equal((verdict['reading'] as Reading).value, reading.value);
    const wrong = await run(['verify', path, '--genesis', '00'.repeat(32), '--json'], offline);
    assert.equal(wrong.code, 1);

    const { proof: bytes } = parseProofFile(readFileSync(path, 'utf8'));
    const proof = decodeReadingProof(bytes);
    assert.ok(proof.ok);
    assert.equal(proof.value.hops.length > 0, epoch > 0);
    if (epoch === 0) continue;
    const bare = encodeReadingProof({ ...proof.value, hops: [] });
    const refused = verifyReadingBytes({ genesisHash, bytes: bare, verify: verifySignature });
    assert.ok(!refused.valid && refused.check === 'epoch', JSON.stringify(refused));
    assert.match(refused.reason, new RegExp(`epoch ${epoch}, no hops are shown`));
  }
  const told = await run(['verify', proofs[2]?.path ?? '', '--genesis', genesis], offline);
  assert.match(told.stdout, /certified +by \d of 4 weight of epoch 2/);
});

test('LIGHT-7.9, NODE-7.13: a light client and a lamp follow the validators', async () => {
  const { genesis, chain } = await net.client.genesis();
  assert.equal(toHex(chain), net.ready.chain);
  const followed = followChain(trustGenesis(genesis), {
    ...(await net.client.head()),
    verify: verifySignature,
  });
  assert.ok(followed.ok, followed.ok ? '' : followed.message);
  assert.equal(followed.value.epoch, 2);
  const ran = await net.itc(['lamp', 'on', 'lamp-1', '--json']);
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const stranger = await net.itc(['key', 'new', 'stranger', '--plain', '--json']);
  assert.equal(stranger.code, 0, stranger.stderr);
  assert.equal((await net.itc(['lamp', 'off', 'lamp-1', '--key', 'stranger', '--json'])).code, 1);
});

test('NODE-7.19: votes, bonds and restarts by command; what the ledger refuses has its code', async () => {
  const votes = await net.itc(['validator', 'vote', 'validator-2', '1', '--key', 'validator-1', '--json']);
  assert.equal(votes.code, 0, votes.stdout);
  const seen = (await weights()).find(({ votes: cast }) => (cast as unknown[]).length > 0);
  assert.equal(seen?.['state'], 'candidate');
  const cases: readonly (readonly [readonly string[], string])[] = [
    [['vote', 'validator-2', '1', '--key', 'owner'], 'validator.inactive'],
    [['vote', 'validator-2', '9', '--key', 'validator-1'], 'validator.bond'],
    [['vote', 'owner', '1', '--key', 'validator-1'], 'validator.unknown'],
    [['bond', '1', '--key', 'owner'], 'validator.bond'],
    [['bond', '1', '--key', 'validator-2', '--consensus', 'validator-1'], 'validator.key'],
    [['unbond', '2000', '--key', 'validator-2'], 'validator.bond'],
    [['unbond', '400', '--key', 'validator-2'], 'validator.bond'],
    [['restart', '--key', 'validator-2'], 'validator.inactive'],
    [['vote', 'validator-2', 'much'], 'usage'],
    [['bond', '-1'], 'usage'],
    [['unbond'], 'usage'],
    [['list', 'all'], 'usage'],
    [['elect'], 'usage'],
  ];
  for (const [argv, code] of cases) {
    const ran = await net.itc(['validator', ...argv, '--json']);
    assert.equal(ran.code, code === 'usage' ? 2 : 1, argv.join(' '));
    assert.equal(json(ran)['code'], code, argv.join(' '));
  }
  const asked = await net.itc(['validator', 'unbond', '1000', '--key', 'validator-2', '--json']);
  assert.equal(asked.code, 0, asked.stdout);
  const { epoch } = await net.client.validators();
  const restarted = await net.itc(['validator', 'restart', '--key', 'validator-4', '--json']);
  assert.equal(restarted.code, 0, restarted.stdout);
  assert.equal(json(restarted)['fee'], '0');
  await until('a new epoch', async () => (await net.client.validators()).epoch === epoch + 1);
});

test('NODE-7.15, NODE-7.18: the next start knows who has joined, and leaves down who has left', async () => {
  const { height, epoch } = await net.client.validators();
  assert.equal(await net.interrupt(), 0);
  const again = await net.start();
  assert.ok(again.height >= height);
  const { processes = [] } = await net.status();
  const running = processes.filter(({ role, state }) => role === 'validator' && state === 'running');
  assert.deepEqual(
    running.map(({ name }) => name),
    ['validator-1', 'validator-3', 'validator-4', 'validator-5'],
  );
  await until('the chain goes on', async () => (await net.status()).height > again.height);
  assert.ok((await net.client.validators()).epoch >= epoch);
  // It comes back as it went.
  const back = await change('add', 'validator-2');
  assert.deepEqual([back['weight'], back['total']], [1, 5]);
});
