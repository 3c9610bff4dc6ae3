/** The thread behind `VerifyPool`: work in, its result out. */
import { parentPort } from 'node:worker_threads';
import { resultOf, type Work } from './pool-work.ts';

/** What the pool posts. */
export interface WorkJob {
  readonly id: number;
  readonly work: Work;
}

export interface WorkReply {
  readonly id: number;
  readonly result: Uint8Array<ArrayBuffer>;
}

parentPort?.on('message', ({ id, work }: WorkJob) => {
  const reply: WorkReply = { id, result: resultOf(work) };
  parentPort?.postMessage(reply, [reply.result.buffer]);
});
