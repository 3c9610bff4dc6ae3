/**
 * Server-sent events by hand (WHATWG HTML §9.2.6): the built-in EventSource gives up for ever on an error
 * status and cannot resume from a chosen id after that, and says nothing about silence on the line. Pure.
 */
import type { LiveEvent, Vertex } from './wire.ts';

export interface Frame {
  readonly id?: string;
  readonly event: string;
  readonly data: string;
}

/** A frame larger than this is not one of ours; the parser drops it instead of growing without bound. */
export const FRAME_CHARACTERS_MAX = 262_144;

export class FrameParser {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #size = 0;
  #id: string | undefined;

  /** Feeds a piece of text, however it was cut, and returns the frames it completes. */
  push(text: string): Frame[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > FRAME_CHARACTERS_MAX) this.#rest = '';
    const frames: Frame[] = [];
    for (const line of lines) {
      const frame = this.#line(line);
      if (frame !== undefined) frames.push(frame);
    }
    return frames;
  }

  #line(line: string): Frame | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    else if (field === 'id') this.#id = value;
    else if (field === 'data') {
      this.#size += value.length;
      if (this.#size <= FRAME_CHARACTERS_MAX) this.#data.push(value);
    }
    return undefined;
  }

  #dispatch(): Frame | undefined {
    const data = this.#data.join('\n');
    const event = this.#event === '' ? 'message' : this.#event;
    const whole = this.#data.length > 0 && this.#size <= FRAME_CHARACTERS_MAX;
    this.#data = [];
    this.#event = '';
    this.#size = 0;
    if (!whole) return undefined;
    return this.#id === undefined ? { event, data } : { id: this.#id, event, data };
  }
}

/** Turns a frame into an event; undefined for what this version does not know. */
export function decodeFrame(frame: Frame): LiveEvent | undefined {
  let body: unknown;
  try {
    body = JSON.parse(frame.data);
  } catch {
    return undefined;
  }
  if (typeof body !== 'object' || body === null) return undefined;
  // The documents come from our own node; their shape is checked where a field decides something.
  const fields = body as Record<string, unknown>;
  switch (frame.event) {
    case 'block':
      return typeof fields['height'] === 'number' ? ({ kind: 'block', block: body } as LiveEvent) : undefined;
    case 'envelope': {
      const vertex = (fields['vertex'] ?? body) as Vertex;
      if (typeof vertex.hash !== 'string' || typeof fields['subnet'] !== 'string') return undefined;
      return { kind: 'envelope', subnet: fields['subnet'], vertex };
    }
    case 'weight':
      if (typeof fields['subnet'] !== 'string') return undefined;
      return { kind: 'weight', subnet: fields['subnet'], accepted: strings(fields['accepted']) };
    case 'checkpoint':
      if (typeof fields['subnet'] !== 'string' || typeof fields['sequence'] !== 'number') return undefined;
      return {
        kind: 'checkpoint',
        subnet: fields['subnet'],
        sequence: fields['sequence'],
        final: strings(fields['final']),
        checkpoint: body,
      };
    case 'reading':
      return typeof fields['device'] === 'string'
        ? ({ kind: 'reading', reading: body } as LiveEvent)
        : undefined;
    case 'command':
      return typeof fields['id'] === 'string' ? ({ kind: 'command', command: body } as LiveEvent) : undefined;
    case 'device':
      return typeof fields['address'] === 'string'
        ? ({ kind: 'device', device: body } as LiveEvent)
        : undefined;
    case 'status':
      return { kind: 'status', status: body };
    default:
      return undefined;
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** Wait before attempt n (from 1): doubles from half a second up to ten, with ±20 % so that pages do not march in step. */
export function retryDelayMs(attempt: number, random: number): number {
  const base = Math.min(10_000, 500 * 2 ** Math.min(10, attempt - 1));
  return Math.round(base * (0.8 + 0.4 * random));
}
