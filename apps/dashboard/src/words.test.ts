import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REFUSALS } from '@itc/core/ledger/command.js';
import { ACTIONS } from '@itc/core/ledger/bodies/access.js';
import { KINDS } from '@itc/core/ledger/body.js';
import { ERROR_CODES } from '@itc/core/ledger/errors.js';
import { repositoryText } from '@itc/core/testing/vectors.js';
import { CODE_ADVICE } from '@itc/client/code-advice.js';
import { nodeRows } from './nodes.ts';
import { statusOf, statusWithout } from './testing/documents.ts';
import type { Status } from './wire.ts';
import {
  asSentence,
  grantWords,
  kindLabel,
  KNOWN_KINDS,
  outcomeWords,
  processDetail,
  quorumSentence,
  readiness,
  refusalWords,
  subnetSentence,
} from './words.ts';

test('readiness: all connected is good, and says so without hedging', () => {
  assert.deepEqual(readiness(statusOf()).tone, 'good');
  assert.equal(readiness(statusOf()).title, 'Ready');
});

test('readiness: one validator of four away is ready, names it, and warns that nothing is spare', () => {
  const verdict = readiness(statusWithout(1));
  assert.equal(verdict.tone, 'warn');
  assert.match(verdict.detail, /^validator-2 is not connected\..*one more failure would stop them/);
});

test('readiness: below the quorum it is not ready and the reason of the node is the sentence', () => {
  const verdict = readiness(statusWithout(1, 2));
  assert.equal(verdict.tone, 'bad');
  assert.equal(verdict.title, 'Not ready');
  assert.equal(verdict.detail, '2 of 4 weight answers and 3 are needed.');
  assert.equal(quorumSentence(statusWithout(1, 2)), '2 of 4 weight connected; 3 needed, 1 missing');
});

test('readiness: with spare weight a fault is named without alarm', () => {
  const seven = statusOf({
    validators: [0, 1, 2, 3, 4, 5, 6].map((index) => ({
      index,
      address: `v${index}`,
      weight: 1,
      connected: index !== 6,
      primary: index === 0,
    })),
    quorum: { total: 7, strong: 5, connected: 6 },
  });
  assert.equal(readiness(seven).detail, 'validator 6 is not connected. Blocks still become final.');
});

test('a subnet with members away says which', () => {
  const members = [0, 1].map((index) => ({
    index,
    address: `m${index}`,
    name: `member-${index}`,
    weight: 1,
    connected: index === 0,
  }));
  const subnet = { id: '', name: 'home', checkpoint: 1, payloads: 0, members, powBits: 8 };
  assert.equal(subnetSentence(subnet, 0).detail, 'member-1 is not connected.');
});

test('a checkpoint that waits for a moment is no fault; one that keeps waiting is', () => {
  const reason = 'the certificate of checkpoint 9 waits for the main chain';
  const subnets = (checkpointTime: number): Pick<Status, 'subnets'> => ({
    subnets: [
      { id: '', name: 'home', checkpoint: 8, checkpointTime, payloads: 0, members: [], powBits: 8, reason },
    ],
  });
  const time = 1_000_000;
  assert.equal(readiness(statusOf({ time, ...subnets(time - 1_500) })).title, 'Ready');
  const late = readiness(statusOf({ time, ...subnets(time - 15_000) }));
  assert.equal(late.title, 'Ready, with a fault');
  assert.match(late.detail, /checkpoint 9 waits for the main chain\.$/);
});

test('every refusal of the ledger has words and a next step, and so has an unknown one', () => {
  for (const reason of REFUSALS) {
    const words = refusalWords(reason);
    assert.ok(!words.what.includes(`(${reason})`), `${reason} has no words of its own`);
    assert.ok(words.next.length > 10);
  }
  assert.match(refusalWords('moon-phase').what, /moon-phase/);
});

test('sentences: capital and full stop, but a name keeps its spelling', () => {
  assert.equal(asSentence('out of disk'), 'Out of disk.');
  assert.equal(asSentence('lamp-1 is asleep'), 'lamp-1 is asleep.');
  assert.match(
    asSentence('lamp-1 is asleep; last seen 2026-11-22T14:03:22.114Z'),
    /; last seen \d{4}-\d\d-\d\d \d\d:\d\d:22\.$/,
  );
});

test('every action a grant can name has words of its own; only `read` is a word already', () => {
  const bare = Object.keys(ACTIONS).filter(
    (action) => grantWords({ actions: [action], levelMax: 254 }) === action,
  );
  assert.deepEqual(bare, ['read']);
});

test('grants and outcomes read as English', () => {
  assert.equal(
    grantWords({ actions: ['onOff', 'level', 'read'], levelMax: 127 }),
    'switch on and off, dim up to 50 %, read',
  );
  assert.deepEqual(outcomeWords({ ok: true }), { tone: 'good', text: 'done' });
  assert.equal(outcomeWords({ ok: false, code: 'transaction.nonce' }).text, 'refused, transaction.nonce');
  assert.equal(
    processDetail({
      name: 'x',
      role: 'x',
      state: 'stopped',
      restarts: 0,
      reason: 'stopped; start it again with: itc devnet start x',
    }),
    'stopped',
  );
  assert.equal(
    processDetail({ name: 'x', role: 'x', state: 'exited', restarts: 2 }),
    'exited by itself, restarted 2 times',
  );
});

test('the node list merges validators, peers and processes by name, roles in order, each once', () => {
  const status = statusOf({
    peers: [
      { address: 'itc1validator0', role: 'validator', connected: true, rttMs: 3 },
      {
        name: 'gateway-2',
        address: 'itc1g2',
        role: 'gateway',
        connected: false,
        reason: 'connection refused',
      },
    ],
    processes: [
      { name: 'home', role: 'home', state: 'running', restarts: 0 },
      { name: 'validator-2', role: 'validator', state: 'stopped', restarts: 0 },
    ],
  });
  const rows = nodeRows(status);
  assert.deepEqual(
    rows.map((row) => row.name),
    ['validator-1', 'validator-2', 'validator-3', 'validator-4', 'gateway-2', 'home'],
  );
  assert.equal(rows[0]?.rttMs, 3);
  assert.equal(rows[1]?.detail, 'stopped on purpose');
  assert.equal(rows[4]?.detail, 'connection refused');
  assert.equal(rows[4]?.tone, 'bad');
});

/** Kinds whose name says it: `open-stream` is told as `Open stream`. */
const READABLE: ReadonlySet<string> = new Set(
  (
    'transfer register-maker register-model set-attestation offer-device accept-device withdraw-device set-device-recovery ' +
    'set-group grant-group revoke-access create-subnet found-subnet join-subnet collect-stake accuse-member bond unbond ' +
    'weight-vote parameter-vote open-sponsorship fund-sponsorship change-sponsorship close-sponsorship open-stream fund-stream ' +
    'settle-stream close-stream rotate-keys set-guardians veto-recovery finish-recovery offer-rental withdraw-offer rental-start ' +
    'rental-use rental-stop end-rental claim-damage answer-claim create-channel rotate-channel release-firmware approve-release ' +
    'report-installs'
  ).split(' '),
);

test('every kind of transaction and every code of a refusal has its words', () => {
  assert.deepEqual(
    KINDS.filter((kind) => !KNOWN_KINDS.includes(kind) && !READABLE.has(kind)),
    [],
    'a new kind: if its name does not read well, add it to KIND_WORDS, else here',
  );
  assert.deepEqual(
    [...KNOWN_KINDS, ...READABLE].filter((kind) => !(KINDS as readonly string[]).includes(kind)),
    [],
  );
  assert.equal(kindLabel('open-sponsorship'), 'Open sponsorship');
  const spec = new Map(
    [...repositoryText('spec/errors.md').matchAll(/^\| `([^`]+)` +\| [^|]+ +\| ([^|]+?) +\|/gm)].map(
      ([, code, advice]) => [code as string, advice as string],
    ),
  );
  // The third column of spec/errors.md, as it stands there.
  for (const code of Object.keys(ERROR_CODES)) assert.equal(CODE_ADVICE[code], spec.get(code), code);
  assert.equal(Object.keys(CODE_ADVICE).length, Object.keys(ERROR_CODES).length);
});
