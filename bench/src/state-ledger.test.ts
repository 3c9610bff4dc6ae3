import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LedgerState } from '@itc/core/state/ledger-state.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { genesis } from '@itc/node/testing/grown-chain.js';
import { seededRandom } from './result.ts';
import { accountsInTreeOrder, addressAt, FIRST_NONCE } from './state-accounts.ts';
import { measureState, type StateTask } from './state-ledger.ts';

installNativeCrypto();

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

/** The root as the specification has it (CRYPTO-7): a subtree with one leaf is that leaf, an empty one is zeros. */
function rootOf(leaves: readonly { readonly key: Buffer; readonly hash: Buffer }[], depth = 0): Buffer {
  const [first] = leaves;
  if (first === undefined) return Buffer.alloc(32);
  if (leaves.length === 1) return first.hash;
  const side = (bit: number): Buffer =>
    rootOf(
      leaves.filter(({ key }) => (((key[depth >> 3] as number) >> (7 - (depth & 7))) & 1) === bit),
      depth + 1,
    );
  return sha256(Uint8Array.of(1), side(0), side(1));
}

test('bench state: the root after all transfers is that of balances and nonces added up by hand', async () => {
  const task: StateTask = {
    accounts: 2_500,
    rounds: 1,
    blocks: 2,
    transfers: 1_000,
    seed: 9,
    peers: ['memory'],
  };
  const folder = mkdtempSync(join(tmpdir(), 'itc-bench-state-'));
  try {
    const { root } = await measureState(task, folder, () => undefined);
    const random = seededRandom(task.seed);
    const pick = (): number => Math.floor(random() * task.accounts);
    const accounts = Array.from({ length: task.accounts }, () => ({
      balance: 1_000_000_000n,
      nonce: FIRST_NONCE,
    }));
    // The first round is not measured, but transferred.
    for (let i = 0; i < (task.rounds + 1) * task.blocks * task.transfers; i += 1) {
      const [from, to] = [pick(), pick()];
      const [sender, receiver] = [accounts[from], accounts[to]];
      assert.ok(sender && receiver);
      sender.balance -= 1n;
      sender.nonce += 1;
      receiver.balance += 1n;
    }
    const entries = [...LedgerState.fromGenesis(genesis).entries()].map(({ key, value }) => ({ key, value }));
    const own = new Set(entries.map(({ key }) => Buffer.from(key).toString('hex')));
    for (const [n, { balance, nonce }] of accounts.entries()) {
      const value = Buffer.alloc(18);
      value.writeBigUInt64BE(balance);
      value.writeUInt16BE(1, 8);
      value.writeBigUInt64BE(BigInt(nonce), 10);
      const key = Buffer.from([1, ...addressAt(n)]);
      assert.ok(!own.has(key.toString('hex')));
      entries.push({ key: key as Uint8Array as (typeof entries)[number]['key'], value });
    }
    assert.equal([...accountsInTreeOrder(task.accounts)].flat().length, task.accounts);
    const leaves = entries.map(({ key, value }) => {
      const place = sha256(Buffer.from('ITC1:state-key\0'), key);
      return { key: place, hash: sha256(Uint8Array.of(0), place, sha256(value)) };
    });
    assert.equal(root, rootOf(leaves).toString('hex'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
