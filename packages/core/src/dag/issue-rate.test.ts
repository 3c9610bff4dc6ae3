import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equalMembers, payloadOf, TestSubnet } from '../testing/dag.ts';
import { ISSUE_RATE, IssueRate } from './issue-rate.ts';

test('DAG-11.5: the rate grows with every envelope the others take and falls while one waits too long', () => {
  const rate = new IssueRate();
  for (let i = 0; i < ISSUE_RATE.startPerSecond; i += 1) rate.accepted();
  const grown = rate.perSecond;
  assert.ok(
    Math.abs(grown - ISSUE_RATE.startPerSecond - ISSUE_RATE.step) < 0.5,
    'a second’s worth is one step',
  );
  rate.waiting(10_000, ISSUE_RATE.lateMs);
  assert.equal(rate.perSecond, grown, 'not late yet');
  rate.waiting(10_000, ISSUE_RATE.lateMs + 1);
  const once = rate.perSecond;
  rate.waiting(10_500, 9_999);
  assert.equal(rate.perSecond, once, 'one decrease at a time');
  for (let now = 11_000; now < 100_000; now += 1_000) rate.waiting(now, 9_999);
  assert.equal(rate.perSecond, ISSUE_RATE.leastPerSecond, 'never to nothing');
  for (let i = 0; i < 300_000; i += 1) rate.accepted();
  assert.equal(rate.perSecond, ISSUE_RATE.mostPerSecond);
});

test('DAG-11.5: where acceptance is always late the rate settles low instead of running away', () => {
  const rate = new IssueRate();
  for (let second = 1; second <= 120; second += 1) {
    // Everything is accepted in the end, but the oldest is never in time.
    const issued = Math.floor(rate.perSecond);
    for (let i = 0; i < issued; i += 1) rate.accepted();
    rate.waiting(1_000 * second, ISSUE_RATE.lateMs + 500);
  }
  assert.ok(
    rate.perSecond < 60 && rate.perSecond > ISSUE_RATE.leastPerSecond,
    `${rate.perSecond} per second`,
  );
});

test('DAG-11.5: a burst is free, then envelopes leave at the rate', () => {
  const rate = new IssueRate();
  let issued = 0;
  for (let now = 1_000; now < 11_000; now += 1) {
    if (!rate.mayIssue(now)) continue;
    rate.issued(now);
    issued += 1;
  }
  const expected = ISSUE_RATE.burst + 10 * ISSUE_RATE.startPerSecond;
  assert.ok(Math.abs(issued - expected) <= 2, `${issued} of ${expected}`);
});

test('DAG-11.5: a member nobody approves slows down, says so, and is back at speed when it is heard again', () => {
  const subnet = new TestSubnet(equalMembers(4));
  subnet.run(300);
  let sequence = 0;
  const feed = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 100) {
      sequence += 1;
      subnet.issue(0, [payloadOf('lamp', sequence)]);
      subnet.settle();
      subnet.run(100);
    }
  };
  feed(1_000);
  const even = subnet.node(0).member.status().issuePerSecond;
  assert.ok(even >= ISSUE_RATE.startPerSecond);
  subnet.passes = (from) => from !== 0;
  feed(12_000);
  const slowed = subnet.node(0).member.status().issuePerSecond;
  assert.ok(slowed < even / 4, `${slowed} per second`);
  subnet.passes = () => true;
  subnet.run(5_000);
  feed(3_000);
  const back = subnet.node(0).member.status();
  assert.ok(back.issuePerSecond > slowed, `${back.issuePerSecond} per second`);
  assert.equal(subnet.applied(1).length, subnet.applied(0).length);
});
