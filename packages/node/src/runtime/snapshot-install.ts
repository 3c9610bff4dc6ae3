/**
 * Takes a gathered state into use (spec SNAPSHOT-8). The order makes a crash harmless at every step: the anchor's block
 * goes behind a gap of the block log, which alone means nothing; one batch then switches tables, epochs and height; what
 * belonged to the old state goes last. Before the batch a start finds the old state, after it the new one.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { ZERO_HASH } from '@itc/core/crypto/hash.js';
import { encodeCertificate } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch, height } from '@itc/core/ledger/ids.js';
import type { Change, Tables } from '../ports.ts';
import type { BlockLog } from '../storage/block-log.ts';
import type { Chain } from './chain.ts';
import { epochChange } from './epoch-table.ts';
import { appliedChange, heightKey } from './executed-blocks.ts';
import { snapshotBaseChange } from './snapshot-base.ts';
import { StateStaging } from './state-staging.ts';
import type { EpochTurn } from './state-sync-messages.ts';

/**
 * Every piece is in and nobody else commits. `turns` lead from the epoch of the committed block to that of the block
 * above the anchor. Errors: `storage.corrupt` when the records do not have the root that each of their pieces had.
 */
export async function installSnapshot(o: {
  readonly chain: Chain;
  readonly tables: Tables;
  readonly log: BlockLog;
  readonly staging: StateStaging;
  readonly turns: readonly EpochTurn[];
}): Promise<void> {
  const { chain, tables, log, staging } = o;
  const { anchor, certificate } = staging.manifest;
  const { block } = staging;
  if (block === undefined) throw new RangeError('the block of the anchor is not in');
  await assertRoot(tables, staging);
  try {
    await log.skipTo(anchor.height);
    log.append(anchor.height, block, encodeCertificate(certificate));
    await log.sync();
    await tables.commit([
      snapshotBaseChange({ anchor, state: staging.state }),
      ...staging.adopt(),
      // Transactions below the anchor are in nobody's proof: the count goes on from those that were seen here.
      appliedChange({ height: anchor.height, transactions: chain.transactionCount }),
      { table: 'hashes', key: heightKey(anchor.height), value: anchor.hash },
      ...chain.traces(),
      ...o.turns.map((turn) => turnChange(turn, staging)),
      ...staging.forget(),
    ]);
  } catch (error) {
    // Nothing was taken into use: the log is to go on where it was.
    await log.dropBehindGap(chain.height);
    throw error;
  }
  await tables.flush();
  await chain.reopen();
  await StateStaging.clear(tables);
}

async function assertRoot(tables: Tables, staging: StateStaging): Promise<void> {
  const { anchor } = staging.manifest;
  if (equalBytes(staging.root, anchor.stateRoot)) return;
  await StateStaging.clear(tables);
  throw new LedgerError(
    'storage.corrupt',
    `the records gathered for height ${anchor.height} do not have the root ${toHex(anchor.stateRoot)}`,
  );
}

function turnChange({ closing, validators }: EpochTurn, { manifest }: StateStaging): Change {
  const { header } = closing;
  const isAnchor = header.height === manifest.anchor.height;
  return epochChange({
    epoch: epoch(header.epoch + 1),
    since: height(header.height + 1),
    validators,
    // Of a state nobody asks for any more: a replica that starts at an anchor has no need to sign what lies below it.
    stateRoot: isAnchor ? manifest.anchor.stateRoot : ZERO_HASH,
    closing,
  });
}
