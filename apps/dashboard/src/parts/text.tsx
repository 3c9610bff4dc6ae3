/** Small pieces of text that occur everywhere: times, ids, badges, numbers. */
import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatAbsolute, formatAgo, formatInteger, shorten } from '../format.ts';
import { nodeNow } from '../store.ts';
import { prefersReducedMotion } from '../theme.ts';
import { STATUS_ORDER, STATUS_WORDS, type Tone } from '../words.ts';
import type { PayloadStatus } from '../wire.ts';
import { Icon } from './icon.tsx';

/** Relative, with the exact moment on hover and for machines. */
export function Ago({ time }: { readonly time: number | undefined }): VNode {
  if (time === undefined) return <span class="muted">never</span>;
  return (
    <time dateTime={new Date(time).toISOString()} title={formatAbsolute(time)}>
      {formatAgo(time, nodeNow.value)}
    </time>
  );
}

export function Dot({ tone, pulse = false }: { readonly tone: Tone; readonly pulse?: boolean }): VNode {
  return <span class={`dot dot-${tone}${pulse ? ' dot-pulse' : ''}`} aria-hidden="true" />;
}

export function Badge({
  tone,
  children,
  title,
}: {
  readonly tone: Tone | 'accent';
  readonly children: ComponentChildren;
  readonly title?: string;
}): VNode {
  return (
    <span class={`badge badge-${tone}`} {...(title === undefined ? {} : { title })}>
      {children}
    </span>
  );
}

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }): VNode {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 1600);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async (): Promise<void> => setCopied(await copyText(text));
  return (
    <button
      type="button"
      class="copy"
      aria-label={copied ? 'Copied' : `Copy ${label}`}
      title={copied ? 'Copied' : `Copy ${label}`}
      onClick={() => void copy()}
    >
      <Icon name={copied ? 'check' : 'copy'} size={15} />
    </button>
  );
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard outside secure contexts; the old way still works there.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'off-screen';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** An id or address: shortened, whole on hover, linked where it leads somewhere, copyable. */
export function Id({
  value,
  link,
  label = 'id',
  full = false,
}: {
  readonly value: string;
  readonly link?: string;
  readonly label?: string;
  readonly full?: boolean;
}): VNode {
  const text = full ? value : shorten(value);
  return (
    <span class={full ? 'id id-full' : 'id'}>
      {link === undefined ? (
        <code title={value}>{text}</code>
      ) : (
        <a href={link} title={value}>
          <code>{text}</code>
        </a>
      )}
      <CopyButton text={value} label={label} />
    </span>
  );
}

/** Counts up to a new value within a third of a second, so that an arrival is noticed. */
export function CountUp({ value }: { readonly value: number }): VNode {
  const [shown, setShown] = useState(value);
  const from = useRef(value);
  useEffect(() => {
    const start = from.current;
    from.current = value;
    if (value <= start || value - start > 5000 || prefersReducedMotion() || document.hidden) {
      setShown(value);
      return undefined;
    }
    const began = performance.now();
    let frame = requestAnimationFrame(function step(now) {
      const share = Math.min(1, (now - began) / 320);
      setShown(Math.round(start + (value - start) * (1 - (1 - share) ** 3)));
      if (share < 1) frame = requestAnimationFrame(step);
    });
    return () => cancelAnimationFrame(frame);
  }, [value]);
  return <span class="number">{formatInteger(shown)}</span>;
}

/** The four honest stages of a payload as four small marks and a word. */
export function PayloadProgress({ status }: { readonly status: PayloadStatus }): VNode {
  const reached = STATUS_ORDER.indexOf(status);
  const words = STATUS_WORDS[status];
  return (
    <span class={`progress progress-${status}`} title={words.meaning}>
      <span class="progress-pips" aria-hidden="true">
        {STATUS_ORDER.map((step, i) => (
          <i key={step} class={i <= reached ? 'on' : ''} />
        ))}
      </span>
      {words.label}
    </span>
  );
}
