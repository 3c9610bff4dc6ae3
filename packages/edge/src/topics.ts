/** Topic names (spec EDGE-6). `who` is a device's address, or the name it was given. */
export const TOPIC_ROOT = 'itc/v1';
export const HEADER_TOPIC: string = `${TOPIC_ROOT}/header`;
export const OWN_UP_TOPIC: string = `${TOPIC_ROOT}/up`;

export function upTopic(who: string): string {
  return `${TOPIC_ROOT}/${who}/up`;
}

export function downTopic(who: string): string {
  return `${TOPIC_ROOT}/${who}/down`;
}

/** Where a device hears commands with light streams that begin at an epoch. */
export function downStreamTopic(who: string, epoch: number): string {
  return `${downTopic(who)}/${epoch}`;
}

/** Light streams from an epoch to the newest header. */
export function headerStreamTopic(epoch: number): string {
  return `${HEADER_TOPIC}/${epoch}`;
}

/** The epoch of a topic below another, or undefined. */
export function epochBelow(topic: string, base: string): number | undefined {
  const rest = topic.startsWith(`${base}/`) ? topic.slice(base.length + 1) : '';
  if (!/^(0|[1-9]\d{0,9})$/.test(rest)) return undefined;
  const epoch = Number(rest);
  return epoch <= 0xffff_ffff ? epoch : undefined;
}

export function noticeTopic(who: string): string {
  return `${TOPIC_ROOT}/${who}/notice`;
}
