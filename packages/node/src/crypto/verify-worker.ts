/** The thread behind `VerifyPool`: a packed batch in, verdicts out. */
import { parentPort } from 'node:worker_threads';
import { verifyPacked } from './verify-batch.ts';

/** What the pool posts; `packed` is transferred. */
export interface VerifyJob {
  readonly id: number;
  readonly count: number;
  readonly packed: Uint8Array<ArrayBuffer>;
}

export interface VerifyReply {
  readonly id: number;
  readonly verdicts: Uint8Array<ArrayBuffer>;
}

parentPort?.on('message', (job: VerifyJob) => {
  const reply: VerifyReply = { id: job.id, verdicts: verifyPacked(job.packed, job.count) };
  parentPort?.postMessage(reply, [reply.verdicts.buffer]);
});
