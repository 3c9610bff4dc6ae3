import { test } from 'node:test';
import assert from 'node:assert/strict';
import { toHex } from '../bytes/hex.ts';
import { genesisHash } from '../ledger/genesis.ts';
import { millis } from '../ledger/ids.ts';
import { ChainBuilder, certify, group, world, type CertifiedBlock } from '../testing/chain.ts';
import { countingVerifier, installNativeSha256, verifyQuickly } from '../testing/keys.ts';
import { advanceTrust, decodeTrust, encodeTrust, enterEpoch, trustGenesis, type Trust } from './trust.ts';

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

test('LIGHT-4.4: a new validator set is believed only when the last header promised it', () => {
  const next = group(7000, [2, 2, 2, 2]);
  const chain = new ChainBuilder(home);
  const plain = believed(at(trustGenesis(home.genesis), chain.append()));
  assert.ok(!enterEpoch(plain, next.set).ok, 'nothing was promised');
  assert.ok(!enterEpoch(plain, home.validators.set).ok, 'no epoch ends here');
  const boundary = believed(at(plain, chain.append([], { nextValidators: next })));
  assert.ok(!enterEpoch(boundary, group(8000, [1]).set).ok);
  const entered = enterEpoch(boundary, next.set);
  assert.ok(entered.ok);
  assert.equal(entered.value.epoch, 1);
  const after = chain.append([], { validators: next, epoch: 1 });
  assert.equal(codeOf(at(entered.value, after)), 'ok');
});

test('LIGHT-4.4: attacks skipped hop and removed signers: neither set certifies for the other’s epoch', () => {
  const next = group(7000, [2, 2, 2, 2]);
  const chain = new ChainBuilder(home);
  const boundary = believed(at(trustGenesis(home.genesis), chain.append([], { nextValidators: next })));
  const after = chain.append([], { validators: next, epoch: 1 });
  assert.equal(codeOf(at(boundary, after)), 'epoch');
  const entered = enterEpoch(boundary, next.set);
  assert.ok(entered.ok);
  // Old keys sign on, in the old epoch or pretending the new one.
  const late = new ChainBuilder(home);
  late.append();
  assert.equal(codeOf(at(entered.value, late.append([]))), 'epoch');
  assert.equal(codeOf(at(entered.value, late.append([], { epoch: 1 }))), 'validators');
  const header = { ...after.block.header };
  const byOld = certify({ chain: home.chain, validators: home.validators, header });
  assert.equal(
    codeOf(advanceTrust(entered.value, { header, certificate: byOld, verify: verifyQuickly })),
    'certificate-signature',
  );
});

test('LIGHT-4.5: what must survive a restart is 180 bytes, and comes back only with the set it names', () => {
  const trust = believed(at(trustGenesis(home.genesis), new ChainBuilder(home).append()));
  const bytes = encodeTrust(trust);
  assert.equal(bytes.length, 180);
  const back = decodeTrust(bytes, home.validators.set);
  assert.ok(back.ok);
  assert.deepEqual(back.value, trust);
  assert.ok(!decodeTrust(bytes, group(7000, [1, 1, 1, 1]).set).ok);
  assert.ok(!decodeTrust(bytes.slice(1), home.validators.set).ok);
  for (let i = 0; i < bytes.length; i += 1) {
    const read = decodeTrust(bytes.with(i, (bytes[i] as number) ^ 1), home.validators.set);
    if (read.ok) assert.notDeepEqual(read.value, trust);
  }
});

test('LIGHT-4.2: a header of before the client’s clock start is no older than genesis', () => {
  const trust = trustGenesis(home.genesis);
  const header = { ...new ChainBuilder(home).append().block.header, time: millis(home.genesis.time) };
  const certificate = certify({ chain: home.chain, validators: home.validators, header });
  assert.equal(codeOf(advanceTrust(trust, { header, certificate, verify: verifyQuickly })), 'time');
});
