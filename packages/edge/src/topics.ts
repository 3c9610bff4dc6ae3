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

export function noticeTopic(who: string): string {
  return `${TOPIC_ROOT}/${who}/notice`;
}
