import assert from 'node:assert/strict';
import { test } from 'node:test';
import { millis } from '../ledger/ids.ts';
import { equalMembers, payloadOf, TestSubnet } from '../testing/dag.ts';

function subnetOf(): TestSubnet {
  const subnet = new TestSubnet(equalMembers(4), 0);
  subnet.run(200);
  return subnet;
}

/** A reading that becomes final, so that there is a checkpoint. */
function begin(subnet: TestSubnet): void {
  subnet.issue(2, [payloadOf('door', 1)]);
  subnet.settle();
  subnet.run(3_000);
}

function loseDisk(subnet: TestSubnet, index: number): void {
  subnet.node(index).log.length = 0;
  subnet.node(index).deliveries.length = 0;
  subnet.restart(index, []);
}

test('DAG-10.3: without records a member learns its own past before it issues (lost disk)', () => {
  const subnet = subnetOf();
  begin(subnet);
  subnet.issue(3, [payloadOf('lamp', 1)]);
  subnet.settle();
  subnet.run(100);
  const before = subnet.node(3).member.draft([], millis(subnet.now))?.body.sequence as number;
  loseDisk(subnet, 3);
  assert.equal(subnet.node(3).member.draft([], millis(subnet.now)), undefined);
  assert.match(subnet.node(3).member.draftObstacle() ?? '', /two thirds/);
  const lost = subnet.node(0).member.anchors.head;
  const until = subnet.now + 15_000;
  while (!subnet.node(3).member.isCertainOfPast && subnet.now < until) subnet.run(100);
  // Nobody sends: the others have made the checkpoints it waits for, and stop when it is there.
  const { head } = subnet.node(3).member.anchors;
  assert.ok(head >= lost + 2 && head <= lost + 4, `${head} after ${lost}`);
  subnet.run(20_000);
  assert.ok(subnet.node(0).member.anchors.head <= lost + 5);
  const after = subnet.node(3).member.draft([], millis(subnet.now))?.body.sequence as number;
  assert.ok(after >= before, `${after} after ${before}`);
  subnet.issue(3, [payloadOf('lamp', 2)]);
  subnet.settle();
  subnet.run(4_000);
  assert.deepEqual(
    subnet.nodes.flatMap((node) => node.effects.flatMap((effects) => effects.evidence)),
    [],
  );
  assert.equal(subnet.applied(0).length, 3);
});

test('DAG-10.3: while the main chain is out of reach who has lost its records waits fifteen seconds, not for ever', () => {
  const subnet = subnetOf();
  begin(subnet);
  subnet.chainCut = true;
  loseDisk(subnet, 3);
  subnet.run(12_000);
  assert.equal(subnet.node(3).member.isCertainOfPast, false, 'no anchor since then is new');
  subnet.run(6_000);
  assert.equal(subnet.node(3).member.isCertainOfPast, true);
});

test('DAG-10.3: who pretends to have lost its records gets four checkpoints and no more', () => {
  const subnet = subnetOf();
  begin(subnet);
  const { head } = subnet.node(0).member.anchors;
  for (let i = 0; i < 60; i += 1) {
    for (const to of [0, 2, 3])
      subnet.tell(to, 1, { kind: 'heads', checkpoint: head, uncertain: true, heads: [] });
    subnet.run(1_000);
  }
  const made = subnet.node(0).member.anchors.head - head;
  assert.ok(made > 0 && made <= 5, `${made} checkpoints`);
});
