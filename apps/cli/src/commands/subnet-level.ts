/** Which security level the payloads of a device need, as its owner tells a gateway. */
import { requestJson } from '@itc/client/http.js';
import { signRequest } from '@itc/client/requests.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { millis } from '@itc/core/ledger/ids.js';
import { openKey } from '../keys.ts';
import { textOption, UsageError, type Call } from '../terminal/command.ts';
import { openClient, Wallet } from '../wallet.ts';

const PATH = '/api/v1/levels';

interface Told {
  readonly device: string;
  readonly level?: 0 | 1 | 2 | 3;
}

/** Shows it, or with a level sets it; `any` leaves it to who waits. */
export async function level(call: Call, words: readonly string[]): Promise<number> {
  const [who, text, ...rest] = words;
  if (who === undefined || rest.length > 0 || !/^([0-3]|any)?$/.test(text ?? ''))
    throw new UsageError('expected a device, and 0, 1, 2, 3 or any');
  const told = text === undefined ? await show(call, who) : await change(call, who, text);
  call.output.result({ ok: true, ...told }, [
    told.level === undefined
      ? `${who}: whoever waits for a payload says how sure it has to be`
      : `${who}: its payloads need security level ${told.level}`,
  ]);
  return 0;
}

async function show(call: Call, who: string): Promise<Told> {
  const client = openClient(call.api);
  const wallet = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
  return client.deviceLevel(await wallet.device(who));
}

async function change(call: Call, who: string, text: string): Promise<Told> {
  const signer = await openKey(call.dataDir, textOption(call, 'key') ?? 'owner');
  const wallet = await Wallet.open(call.api, signer);
  const device = formatAddress(await wallet.device(who));
  const body = JSON.stringify({ device, ...(text === 'any' ? {} : { level: Number(text) }) });
  const authorization = await signRequest({
    chain: wallet.chain,
    signer,
    method: 'POST',
    path: PATH,
    body: utf8Encode(body),
    time: millis(Date.now()),
  });
  return (await requestJson(fetch, `${call.api}${PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body,
  })) as Told;
}
