/** Cards, headings of pages, and the three states every list has besides being full. */
import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError } from '../api.ts';
import { Advice } from './advice.tsx';
import { Icon, type IconName } from './icon.tsx';

export function Page({
  title,
  lead,
  back,
  actions,
  children,
}: {
  readonly title: string;
  readonly lead?: ComponentChildren;
  readonly back?: { readonly href: string; readonly label: string };
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}): VNode {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · IoT Chain`;
    // After navigation the new page's heading has the focus, so that a screen reader starts there. Not at
    // first load, and never while somebody types.
    if (
      document.activeElement !== null &&
      document.activeElement !== document.body &&
      !(document.activeElement instanceof HTMLInputElement)
    )
      heading.current?.focus({ preventScroll: true });
  }, [title]);
  return (
    <div class="page">
      <header class="page-head">
        <div>
          {back === undefined ? null : (
            <a class="back" href={back.href}>
              <Icon name="back" size={15} /> {back.label}
            </a>
          )}
          <h1 tabIndex={-1} ref={heading}>
            {title}
          </h1>
          {lead === undefined ? null : <p class="lead">{lead}</p>}
        </div>
        {actions === undefined ? null : <div class="page-actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

export function Card({
  title,
  aside,
  children,
  class: className = '',
}: {
  readonly title?: string;
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
  readonly class?: string;
}): VNode {
  return (
    <section class={`card ${className}`}>
      {title === undefined ? null : (
        <header class="card-head">
          <h2>{title}</h2>
          {aside === undefined ? null : <div class="card-aside">{aside}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export function Empty({
  icon,
  title,
  children,
}: {
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
}): VNode {
  return (
    <div class="empty">
      <Icon name={icon} size={28} />
      <p class="empty-title">{title}</p>
      {children === undefined ? null : <p class="muted">{children}</p>}
    </div>
  );
}

/** Grey lines where text will be; announced once, not per line. */
export function Loading({
  lines = 3,
  label = 'Loading',
}: {
  readonly lines?: number;
  readonly label?: string;
}): VNode {
  return (
    <div class="loading" role="status">
      <span class="off-screen">{label}</span>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} class="skeleton" />
      ))}
    </div>
  );
}

export function Failure({ error, retry }: { readonly error: Error; readonly retry?: () => void }): VNode {
  const api = error instanceof ApiError ? error : undefined;
  return (
    <div class="callout callout-bad" role="alert">
      <Icon name="warning" />
      <div>
        <strong>{error.message}</strong>
        {api?.detail === undefined || api.detail === '' ? null : <p>{api.detail}</p>}
        {api === undefined || api.code === 'unreachable' ? null : (
          <>
            <Advice code={api.code} />
            <p class="muted">Code {api.code}</p>
          </>
        )}
      </div>
      {retry === undefined ? null : (
        <button type="button" class="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Facts({ rows }: { readonly rows: readonly (readonly [string, ComponentChildren])[] }): VNode {
  return (
    <dl class="facts">
      {rows.map(([term, description]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{description}</dd>
        </div>
      ))}
    </dl>
  );
}
