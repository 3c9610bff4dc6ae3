import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equalMembers, payloadOf, TestSubnet } from '../testing/dag.ts';

test('DAG-8.6: a payload becomes final at every member, once and in the same order', () => {
  const subnet = new TestSubnet(equalMembers(4), 2);
  subnet.run(200);
  const payloads = [1, 2, 3].map((n) => payloadOf('lamp', n));
  for (const [i, payload] of payloads.entries()) {
    subnet.issue(i, [payload]);
    subnet.settle();
  }
  subnet.run(3_000);
  for (const node of subnet.nodes) {
    assert.deepEqual(subnet.applied(node.index).sort(), payloads.map((p) => String(p.id)).sort());
    assert.deepEqual(subnet.applied(node.index), subnet.applied(0));
    assert.equal(node.member.status().pending < 10, true);
  }
  console.log(subnet.node(0).member.status(), subnet.chain.length, subnet.node(0).deliveries[0]!.committed.certificate.checkpoint);
});
