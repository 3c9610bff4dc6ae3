/** The subnet's DAG: figures kept apart, so that none hides another (core, overload, verification, payloads, finality, subnets). */
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { benchCore } from './dag-core.ts';
import { benchFinality } from './dag-finality.ts';
import { benchSubnets } from './dag-subnets.ts';
import { benchOverload } from './dag-overload.ts';
import { benchVerify } from './dag-verify.ts';
import { IncompleteError, type BenchOptions, type Result } from './result.ts';

export const name = 'dag';

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const core = await benchCore(options);
  const overload = benchOverload(options);
  const verified = await benchVerify(options);
  const results = [...core, ...overload, ...verified];
  try {
    results.push(...(await benchFinality(options)));
    results.push(...(await benchSubnets(options)));
    return results;
  } catch (error) {
    throw new IncompleteError(`finality could not be measured: ${(error as Error).message}`, results, error);
  }
}
