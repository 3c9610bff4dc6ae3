/** The verdicts come with the page that shows one: they are no part of the first load. */
import type { FunctionComponent, VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type * as Parts from './verified.tsx';

let loaded: typeof Parts | undefined;

function later<P extends object>(pick: (parts: typeof Parts) => FunctionComponent<P>): (props: P) => VNode {
  return (props) => {
    const [parts, setParts] = useState(loaded);
    useEffect(() => {
      if (parts !== undefined) return;
      // A part that cannot be fetched leaves what stands there: not verified.
      void import('./verified.tsx').then(
        (found) => {
          loaded = found;
          setParts(found);
        },
        () => undefined,
      );
    }, [parts]);
    if (parts === undefined) return <p class="verified">Not verified yet</p>;
    const Part = pick(parts);
    return <Part {...props} />;
  };
}

export const VerifiedDevice: (props: Parameters<typeof Parts.VerifiedDevice>[0]) => VNode = later(
  (parts) => parts.VerifiedDevice,
);
export const VerifiedPayload: (props: Parameters<typeof Parts.VerifiedPayload>[0]) => VNode = later(
  (parts) => parts.VerifiedPayload,
);
export const VerifiedReading: (props: Parameters<typeof Parts.VerifiedReading>[0]) => VNode = later(
  (parts) => parts.VerifiedReading,
);
