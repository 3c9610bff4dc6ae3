/** What a command costs the device that judges it, under a header it believes already: the check of its signature and two paths of hashes. */
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { installSha256, sha256 } from '@itc/core/crypto/hash.js';
import { StateTree } from '@itc/core/crypto/state-tree.js';
import { encodeCommand } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import { proveAccess } from '@itc/core/light/access-proof.js';
import { verifyCommand } from '@itc/core/light/command.js';
import { ReplayWindows } from '@itc/core/light/replay.js';
import { advanceTrust, trustGenesis } from '@itc/core/light/trust.js';
import { deviceKey, grantKey, stateKeyHash } from '@itc/core/state/keys.js';
import { encodeRecord } from '@itc/core/state/records.js';
import { ChainBuilder, GENESIS_TIME, signedPayload, world } from '@itc/core/testing/chain.js';
import { grantBy, ownedDevice } from '@itc/core/testing/devices.js';
import { countingVerifier, keyPair, nativeSha256 } from '@itc/core/testing/keys.js';
import { installNativeCrypto, verifyNative } from '@itc/node/crypto/native.js';
import { chipMilliseconds, CHIPS } from './light-costs.ts';
import { figure, type Result } from './result.ts';

const RECORDS = 10_000;

export function commandCosts(): Result[] {
  const home = world({ validatorWeights: Array.from({ length: 16 }, () => 1) });
  const lamp = keyPair(60);
  const granter = keyPair(61).address;
  const by = keyPair(62);
  const now = millis(GENESIS_TIME + 10_000);
  const device = ownedDevice({ key: lamp.key, owner: granter, at: home.genesis.time });
  const others = Array.from({ length: RECORDS - 2 }, (_, i) => ({
    key: sha256(utf8Encode(`record ${i}`)),
    value: Uint8Array.of(1),
  }));
  const tree = StateTree.empty.update([
    { key: stateKeyHash(deviceKey(lamp.address)), value: encodeRecord('device', device) },
    {
      key: stateKeyHash(grantKey(lamp.address, by.address)),
      value: encodeRecord('grant', grantBy(granter, now)),
    },
    ...others,
  ]);
  const { block, certificate } = new ChainBuilder(home).append([], { stateRoot: tree.root });
  const { header } = block;
  const access = proveAccess({ tree, header, certificate, device: lamp.address, subject: by.address });
  const advanced = advanceTrust(trustGenesis(home.genesis), { header, certificate, verify: verifyNative });
  if (access === undefined || !advanced.ok) throw new Error('the lamp is not known');
  const content = { device: lamp.address, action: { kind: 'on' }, notAfter: millis(now + 1_000) } as const;
  const command = signedPayload(home.chain, by, {
    device: lamp.address,
    contentType: 'command',
    content: encodeCommand(content),
    sequence: 1,
  }).bytes;
  let blocks = 0;
  // Padding and length are at least nine bytes.
  installSha256((bytes) => {
    blocks += Math.ceil((bytes.length + 9) / 64);
    return nativeSha256(bytes);
  });
  const { verify, calls } = countingVerifier(verifyNative);
  const replay = new ReplayWindows();
  const verdict = verifyCommand({
    trust: advanced.value,
    device: lamp.address,
    command,
    access,
    now,
    replay,
    verify,
  });
  installNativeCrypto();
  if (verdict.kind !== 'accepted') throw new Error(`the command is refused: ${verdict.message}`);
  const counts = { signatures: calls(), blocks };
  const of = 'a guest’s command under a believed header, state of 10^4';
  return [
    figure(`signatures, ${of}`, 'checks', [counts.signatures], { name: 'aim', samples: [1], better: 'less' }),
    figure(`SHA-256, ${of}`, 'blocks', [counts.blocks]),
    ...CHIPS.map((chip) => figure(`estimate, ${chip.name}, ${of}`, 'ms', [chipMilliseconds(chip, counts)])),
  ];
}
