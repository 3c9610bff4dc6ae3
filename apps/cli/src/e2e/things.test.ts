/**
 * Things from outside: firmware released by two of three, rolled out to a part, installed by lamps that are dark, attested, halted, never
 * back; lamps that obey accounts held by keys of other schemes; grants within the model of a lamp.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { rotateKeys } from '@itc/client/account-keys.js';
import { parseHash } from '@itc/client/client.js';
import type { SecretAlgorithm } from '@itc/client/keys-secret.js';
import { registerModel } from '@itc/client/devices.js';
import { sealKey } from '@itc/client/keystore.js';
import { firmwareChannel, type ReleaseStatus } from '@itc/client/firmware.js';
import { grant, revoke, transfer } from '@itc/client/transactions.js';
import { parseAddress, type Address } from '@itc/core/ledger/address.js';
import { ML_DSA_44, P256 } from '@itc/core/crypto/signature.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import { rolloutPlace } from '@itc/core/ledger/firmware.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import { ACTIONS, ACTIONS_ALL } from '@itc/core/ledger/terms.js';
import { writeSecretFile } from '@itc/node/crypto/key-file.js';
import { DEVNET_MODEL } from '../devnet/home.ts';
import { layoutOf } from '../devnet/layout.ts';
import { keyNamed, keyPath, noteAccount, openKey } from '../keys.ts';
import { Wallet } from '../wallet.ts';
import { TestDevnet, until } from './devnet.ts';
import { json } from './itc.ts';

const net = new TestDevnet();

suite('things', () => {
  before(() => net.start(['--validators', '1', '--gateways', '1']));
  after(() => net.remove());

  let channel = '';
  const lamps: Address[] = [];

  async function itc(...argv: string[]): Promise<Record<string, unknown>> {
    const ran = await net.itc([...argv, '--json', '--quiet']);
    assert.equal(ran.code, 0, `itc ${argv.join(' ')}: ${ran.stderr}${ran.stdout}`);
    return json(ran);
  }

  async function newest(): Promise<ReleaseStatus> {
    const [release] = (await firmwareChannel(net.client, parseHash(channel))).releases;
    assert.ok(release);
    return release;
  }

  /** By the owner, without another process. */
  async function switchLamp(lamp: Address, kind: 'on' | 'off'): Promise<void> {
    const wallet = await Wallet.open(net.ready.api, await openKey(net.folder, 'owner'));
    const { outcome } = await wallet.command(lamp, { kind }, 10_000);
    assert.deepEqual(outcome, { kind: 'done' });
  }

  /** A key of another scheme in a file here, without another process. */
  async function made(name: string, algorithm: SecretAlgorithm): Promise<Wallet> {
    const secret = new Uint8Array(randomBytes(32));
    const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
    const sealed = await sealKey({ kind: 'secret', algorithm, secret }, { random });
    await writeSecretFile(keyPath(layoutOf(net.folder), name), sealed);
    return Wallet.open(net.ready.api, await openKey(net.folder, name));
  }

  const image = (text: string): string => {
    const path = join(net.folder, 'image.bin');
    writeFileSync(path, text);
    return path;
  };

  test('STATE-23.3, by itc: a line is opened for the lamps of the devnet; two of three release keys make a release', async () => {
    for (const name of ['r0', 's0', 's1', 's2']) await keyNamed(layoutOf(net.folder), name);
    const line = ['--model', 'devnet', '--board', 'devnet-lamp', '--root', 'r0', '--release', 's0,s1,s2'];
    channel = String((await itc('firmware', 'channel', 'open', ...line))['channel']);
    const path = image('lamp firmware 1.1.0');
    const v1 = ['--version', '1.1.0', '--counter', '3', '--image', path];
    await itc('firmware', 'release', channel, ...v1, '--sign', 's0,s2');
    assert.equal((await newest()).approved, true);
    for (const name of ['lamp-1', 'lamp-2']) {
      const lamp = parseAddress((await net.client.device(name)).address);
      assert.ok(lamp.ok);
      lamps.push(lamp.value);
    }
  });

  test('EDGE-14.2: a part of the lamps installs it, and only when it is dark; what it attests is counted', async () => {
    const { approvedAt } = await newest();
    assert.ok(approvedAt !== undefined);
    const place = (device: Address): number =>
      rolloutPlace({ device, channel: parseHash(channel), number: 1, approvedAt: millis(approvedAt) });
    const [first] = lamps.toSorted((a, b) => place(a) - place(b)) as [Address, Address];
    const share = Math.max(...lamps.map(place));
    await switchLamp(first, 'on');
    await itc('firmware', 'rollout', channel, '1', '--share', String(share / 100), '--sign', 's0,s1');
    // Lit, it waits: two looks of a second each.
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    assert.equal((await newest()).installs.count, 0);
    await switchLamp(first, 'off');
    const { installs } = await until('the install is on the ledger', async () => {
      const release = await newest();
      return release.installs.count > 0 ? release : undefined;
    });
    // The other one is not in the share.
    assert.deepEqual([installs.count, installs.failures], [1, 0]);
  });

  test('STATE-23.5, STATE-23.4: one key halts it; two go on, and the other lamp installs it; nothing below its counter is released', async () => {
    await itc('firmware', 'halt', channel, '1', '--sign', 's1');
    assert.equal((await newest()).halted, true);
    await itc('firmware', 'rollout', channel, '1', '--share', '100', '--sign', 's0,s2');
    await until('both have installed it', async () =>
      (await newest()).installs.count === 2 ? true : undefined,
    );
    const older = ['--version', '1.2.0', '--counter', '2', '--image', image('an older one')];
    const back = await net.itc(['firmware', 'release', channel, ...older, '--sign', 's0,s1', '--json']);
    assert.deepEqual([back.code, json(back)['code']], [1, 'release.rollback']);
  });

  test('LIGHT-5.22, by itc: lamps and gateways take the word of accounts held by P-256 and ML-DSA-44 keys, and of one whose keys were changed', async () => {
    const [pat, quinn] = [await made('pat', P256), await made('quinn', ML_DSA_44)];
    const owner = await Wallet.open(net.ready.api, await openKey(net.folder, 'owner'));
    const [lamp] = lamps as [Address];
    const [notBefore, expiresAt] = [millis(0), millis(Date.now() + 3_600_000)];
    const terms = { actions: ACTIONS.onOff | ACTIONS.read, levelMax: 0, notBefore, expiresAt };
    const grants = [pat, quinn].map(({ signer }) =>
      grant({ device: lamp, subject: signer.address, ...terms }),
    );
    await owner.sendAll([transfer(pat.signer.address, amount(1_000_000_000n)), ...grants]);
    await owner.sendProvable(transfer(owner.signer.address, amount(1n)));
    assert.deepEqual((await itc('lamp', 'on', 'lamp-1', '--key', 'pat'))['outcome'], { kind: 'done' });
    assert.deepEqual((await quinn.command(lamp, { kind: 'off' }, 10_000)).outcome, { kind: 'done' });
    // From now on quinn's key acts for pat's account, and pat's own for nobody.
    await owner.send(revoke({ device: lamp, subject: quinn.signer.address }));
    await pat.sendProvable(rotateKeys(keySetOf([quinn.signer.publicKey])));
    noteAccount(layoutOf(net.folder), 'quinn', pat.signer.address);
    assert.deepEqual((await itc('lamp', 'on', 'lamp-1', '--key', 'quinn'))['outcome'], { kind: 'done' });
    const { outcome } = await pat.command(lamp, { kind: 'off' }, 10_000);
    assert.deepEqual(outcome, { kind: 'refused', reason: 'not-granted' });
    const { chain } = owner;
    const by = { chain, signer: await openKey(net.folder, 'quinn') };
    assert.ok((await net.client.readings('lamp-1', { limit: 1, signedBy: by })).length <= 1);
    await assert.rejects(
      net.client.readings('lamp-1', { limit: 1, signedBy: { chain, signer: pat.signer } }),
      {
        code: 'request.unauthorised',
      },
    );
  });

  test('LIGHT-5.23, CLIENT-3.7, by itc: two of three holders switch a lamp together: drafted, signed offline, sent; none of them can alone', async () => {
    const hana = await Wallet.open(net.ready.api, await keyNamed(layoutOf(net.folder), 'hana'));
    const owner = await Wallet.open(net.ready.api, await openKey(net.folder, 'owner'));
    const others = [await made('ivan', P256), await made('june', ML_DSA_44)];
    const account = hana.signer.address;
    await owner.sendAll([
      transfer(account, amount(1_000_000_000n)),
      grant({
        device: lamps[0] as Address,
        subject: account,
        actions: ACTIONS.onOff,
        levelMax: 0,
        notBefore: millis(0),
        expiresAt: millis(Date.now() + 3_600_000),
      }),
    ]);
    const keys = [hana, ...others].map(({ signer }) => signer.publicKey);
    await hana.sendProvable(rotateKeys(keySetOf(keys, 2)));
    const alone = await net.itc(['lamp', 'on', 'lamp-1', '--key', 'hana']);
    assert.equal(alone.code, 1);
    assert.match(alone.stdout, /lamp-1 REFUSED: it takes more keys of this account.*itc lamp draft/);
    const file = join(net.folder, 'off.json');
    const by = ['--account', 'hana', '--key', 'ivan'];
    const drafted = await itc('lamp', 'draft', file, 'off', 'lamp-1', ...by);
    assert.deepEqual([drafted['weight'], drafted['threshold'], drafted['complete']], [1, 2, false]);
    const early = await net.itc(['lamp', 'send', file, '--json']);
    assert.deepEqual([early.code, json(early)['code']], [1, 'account.signers']);
    // Without any node: what is signed is in the file.
    const offline = await net.itc(['lamp', 'sign', file, '--key', 'june', '--api', 'http://127.0.0.1:9']);
    assert.equal(offline.code, 0, offline.stderr);
    assert.match(offline.stderr, /asks for +off/);
    const sent = await itc('lamp', 'send', file);
    assert.deepEqual(sent['outcome'], { kind: 'done' });
    assert.equal(sent['signer'], drafted['account']);
  });

  test('STATE-17.10, by itc: a grant beyond the model of the lamp is refused before it costs a fee, and the ledger refuses it too', async () => {
    const maker = await Wallet.open(net.ready.api, await openKey(net.folder, 'maker'));
    const model = { hash: DEVNET_MODEL, name: 'devnet lamp', actions: ACTIONS_ALL, levelMax: 200 };
    await maker.send(registerModel(model), 3);
    const owner = await Wallet.open(net.ready.api, await openKey(net.folder, 'owner'));
    const nonces = async (): Promise<object> => (await net.client.account(owner.signer.address)).nonces;
    const before_ = await nonces();
    const beyond = await net.itc(['grant', 'lamp-2', '--to', 'maker', '--level-max', '100%', '--json']);
    assert.equal(beyond.code, 1);
    assert.equal(json(beyond)['code'], 'grant.beyond-model');
    assert.match(String(json(beyond)['message']), /expected a level up to 200, got 254; set .*--level-max/);
    assert.deepEqual(await nonces(), before_);
    const [notBefore, expiresAt] = [millis(0), millis(Date.now() + 3_600_000)];
    const terms = { actions: ACTIONS.level, notBefore, expiresAt };
    const to = { device: lamps[1] as Address, subject: maker.signer.address };
    await assert.rejects(owner.send(grant({ ...to, ...terms, levelMax: 201 })), {
      code: 'grant.beyond-model',
    });
    await owner.send(grant({ ...to, ...terms, levelMax: 200 }));
  });
});
