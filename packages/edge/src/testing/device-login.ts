/** Logging in and publishing as a device would, for tests. */
import assert from 'node:assert/strict';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { fromHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { type Payload } from '@itc/core/ledger/payload.js';
import { signedPayload } from '@itc/core/testing/chain.js';
import type { KeyPair } from '@itc/core/testing/keys.js';
import { encodeSenml } from '../2-conversion/senml.ts';
import { loginPassword, loginSigningBytes } from '../login-proof.ts';
import { gatewayKey, sensorKey, type TestGateway } from './gateway.ts';

export const sensor: string = formatAddress(sensorKey.address);

export function challengeOf(t: TestGateway): Uint8Array {
  const bytes = fromHex(t.gateway.challenge().challenge);
  assert.ok(bytes.ok);
  return bytes.value;
}

export function passwordOf(t: TestGateway, key: KeyPair, challenge = challengeOf(t)): string {
  const signature = key.sign(
    loginSigningBytes({ chain: t.ledger.chain, gateway: gatewayKey.address, challenge }),
  );
  return loginPassword({ key: key.key.bytes, challenge, signature });
}

export async function login(t: TestGateway, options: IClientOptions): Promise<MqttClient> {
  return await connectAsync(t.url, { reconnectPeriod: 0, ...options });
}

export async function loginByPassword(
  t: TestGateway,
  key: KeyPair,
  protocolVersion: 4 | 5 = 5,
): Promise<MqttClient> {
  return await login(t, {
    protocolVersion,
    username: formatAddress(key.address),
    password: passwordOf(t, key),
    clientId: 'c',
  });
}

export interface Answer {
  readonly reasonCode: number;
  readonly code: string | undefined;
  readonly payload: string | undefined;
  readonly work?: string;
}

const waiting = new WeakMap<MqttClient, ((answer: Answer) => void)[]>();

/** Publishes with QoS 1 and gives what the PUBACK says: they come in the order of the publishes. */
export async function publish(
  client: MqttClient,
  bytes: Uint8Array | string,
  o: { topic?: string; contentType?: string; dup?: boolean } = {},
): Promise<Answer> {
  let queue = waiting.get(client);
  if (queue === undefined) {
    const due: ((answer: Answer) => void)[] = [];
    client.on('packetreceive', (packet) => {
      if (packet.cmd !== 'puback') return;
      const properties = packet.properties?.userProperties as Record<string, string> | undefined;
      due.shift()?.({
        reasonCode: packet.reasonCode ?? 0,
        code: properties?.['itc-code'],
        payload: properties?.['itc-payload'],
        ...(properties?.['itc-work'] !== undefined && { work: properties['itc-work'] }),
      });
    });
    queue = due;
    waiting.set(client, due);
  }
  const properties = o.contentType === undefined ? {} : { contentType: o.contentType };
  const answered = new Promise<Answer>((resolve) => queue.push(resolve));
  client.publish(
    o.topic ?? 'itc/v1/up',
    Buffer.from(bytes as Uint8Array),
    { qos: 1, dup: o.dup ?? false, properties },
    () => {},
  );
  return await answered;
}

export function reading(
  t: TestGateway,
  sequence: number,
  value: number,
  o: { by?: KeyPair; time?: number } = {},
): Payload {
  const content = encodeSenml('senml+cbor', [
    { name: 'temperature', unit: 'Cel', time: o.time ?? t.now(), value },
  ]);
  return signedPayload(t.ledger.chain, o.by ?? sensorKey, { sequence, content });
}
