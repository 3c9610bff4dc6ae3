import { test } from 'node:test';
import assert from 'node:assert/strict';
import { toHex } from '../bytes/hex.ts';
import { voteSigningBytes } from '../ledger/block.ts';
import { genesisHash } from '../ledger/genesis.ts';
import { millis } from '../ledger/ids.ts';
import { ChainBuilder, certify, group, world, type CertifiedBlock } from '../testing/chain.ts';
import { countingVerifier, installNativeSha256, verifyQuickly } from '../testing/keys.ts';
import { advanceTrust, decodeTrust, encodeTrust, trustGenesis, type Trust } from './trust.ts';

installNativeSha256();

const home = world();
const at = (trust: Trust, block: CertifiedBlock): ReturnType<typeof advanceTrust> =>
  advanceTrust(trust, { header: block.block.header, certificate: block.certificate, verify: verifyQuickly });

function believed(result: ReturnType<typeof advanceTrust>): Trust {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

function codeOf(result: ReturnType<typeof advanceTrust>): string {
  return result.ok ? 'ok' : result.code;
}

test('LIGHT-4.1: trust begins with genesis and follows certified headers, also over gaps', () => {
  const chain = new ChainBuilder(home);
  for (let i = 0; i < 6; i += 1) chain.append();
  const start = trustGenesis(home.genesis);
  assert.equal(toHex(start.chain), toHex(genesisHash(home.genesis)));
  assert.equal(start.last.height, 0);
  const two = believed(at(start, chain.blocks[1] as CertifiedBlock));
  const six = believed(at(two, chain.blocks[5] as CertifiedBlock));
  assert.equal(six.last.height, 6);
  assert.equal(toHex(six.last.hash), toHex((chain.blocks[5] as CertifiedBlock).certificate.hash));
  assert.equal(start.last.height, 0, 'the earlier value is as it was');
});

test('LIGHT-4.2: attack stale replay: a lower height is refused without a signature check, the same header changes nothing', () => {
  const chain = new ChainBuilder(home);
  for (let i = 0; i < 3; i += 1) chain.append();
  const trust = believed(at(trustGenesis(home.genesis), chain.blocks[2] as CertifiedBlock));
  const { verify, calls } = countingVerifier(verifyQuickly);
  const old = chain.blocks[1] as CertifiedBlock;
  assert.equal(
    codeOf(advanceTrust(trust, { header: old.block.header, certificate: old.certificate, verify })),
    'stale',
  );
  assert.equal(calls(), 0);
  assert.equal(believed(at(trust, chain.blocks[2] as CertifiedBlock)), trust);
});

test('LIGHT-4.3: attack conflicting certificates: two certified headers at one height are told apart from a mere forgery', () => {
  const trust = believed(at(trustGenesis(home.genesis), new ChainBuilder(home).append()));
  const other = new ChainBuilder(home).append([Uint8Array.of(1)]);
  assert.equal(codeOf(at(trust, other)), 'conflict');
  const forged = {
    ...other,
    certificate: certify({
      chain: home.chain,
      validators: home.validators,
      header: other.block.header,
      signers: [0],
    }),
  };
  assert.equal(codeOf(at(trust, forged)), 'certificate-weight');
});

test('LIGHT-4.3: a higher header has a later time', () => {
  const chain = new ChainBuilder(home);
  const trust = believed(at(trustGenesis(home.genesis), chain.append()));
  const next = chain.append();
  const header = { ...next.block.header, time: trust.last.time };
  const certificate = certify({ chain: home.chain, validators: home.validators, header });
  assert.equal(codeOf(advanceTrust(trust, { header, certificate, verify: verifyQuickly })), 'time');
});

test('LIGHT-4.3: attack conflicting certificates: who voted for both in one view is named, with both votes', () => {
  const first = new ChainBuilder(home).append([], { signers: [0, 1, 2] });
  const trust = believed(at(trustGenesis(home.genesis), first));
  const shown = (view: number): ReturnType<typeof at> =>
    at(trust, new ChainBuilder(home).append([Uint8Array.of(1)], { signers: [1, 2, 3], view }));
  const result = shown(0);
  assert.ok(!result.ok && result.conflict !== undefined);
  const { conflict } = result;
  assert.equal(toHex(conflict.believed), toHex(first.certificate.hash));
  assert.deepEqual(
    conflict.doubleVotes.map(({ culprit }) => toHex(culprit.bytes)),
    home.validators.set.slice(1, 3).map(({ key }) => toHex(key.bytes)),
  );
  for (const vote of conflict.doubleVotes) {
    assert.ok(vote.kind === 'commit');
    for (const { hash, signature } of [vote.first, vote.second]) {
      const bytes = voteSigningBytes('commit', { ...vote, chain: home.chain, hash });
      assert.ok(verifyQuickly(vote.culprit, bytes, signature));
    }
  }
  // In another view nobody is convicted: it may have been outvoted in between. Nor after a restart, with one vote only.
  const later = shown(1);
  assert.ok(!later.ok && later.code === 'conflict');
  assert.deepEqual(later.conflict?.doubleVotes, []);
  const restarted = { ...trust, certificate: undefined };
  const other = new ChainBuilder(home).append([Uint8Array.of(1)]);
  const forgotten = at(restarted, other);
  assert.ok(!forgotten.ok && forgotten.code === 'conflict');
  assert.deepEqual(forgotten.conflict?.doubleVotes, []);
});

test('LIGHT-4.4: a header of another epoch is refused, and so is one of an epoch that has ended', () => {
  const next = group(7000, [2, 2, 2, 2]);
  const chain = new ChainBuilder(home);
  const closing = chain.append([], { nextValidators: next });
  const after = chain.append([], { validators: next, epoch: 1 });
  const trust = believed(at(trustGenesis(home.genesis), closing));
  assert.ok(trust.ended);
  assert.equal(codeOf(at(trust, after)), 'epoch');
  assert.equal(codeOf(at(trust, closing)), 'ok');
  // The old set goes on as if its epoch had not ended.
  const late = new ChainBuilder(home);
  late.append();
  assert.equal(codeOf(at(trust, late.append())), 'epoch');
  assert.equal(codeOf(at(trust, late.append([], { epoch: 1 }))), 'epoch');
});

test('LIGHT-4.5: what must survive a restart is below 256 bytes, and comes back only with the set it names', () => {
  const known = believed(at(trustGenesis(home.genesis), new ChainBuilder(home).append()));
  for (const trust of [known, { ...known, ended: true }]) {
    const bytes = encodeTrust(trust);
    assert.equal(bytes.length, 149);
    const back = decodeTrust(bytes, home.validators.set);
    assert.ok(back.ok);
    assert.deepEqual(back.value, { ...trust, certificate: undefined });
    assert.ok(!decodeTrust(bytes, group(7000, [1, 1, 1, 1]).set).ok);
    assert.ok(!decodeTrust(bytes.slice(1), home.validators.set).ok);
    for (let i = 0; i < bytes.length; i += 1) {
      const read = decodeTrust(bytes.with(i, (bytes[i] as number) ^ 1), home.validators.set);
      if (read.ok) assert.notDeepEqual(read.value, { ...trust, certificate: undefined });
    }
  }
});

test('LIGHT-4.2: a header of before the client’s clock start is no older than genesis', () => {
  const trust = trustGenesis(home.genesis);
  const header = { ...new ChainBuilder(home).append().block.header, time: millis(home.genesis.time) };
  const certificate = certify({ chain: home.chain, validators: home.validators, header });
  assert.equal(codeOf(advanceTrust(trust, { header, certificate, verify: verifyQuickly })), 'time');
});
