/** What to do about a refusal. The words are loaded when there is one: most visits never see any. */
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export function Advice({ code }: { readonly code: string }): VNode | null {
  const [advice, setAdvice] = useState<string>();
  useEffect(() => {
    let isGone = false;
    void import('@itc/client/code-advice.js').then(
      ({ CODE_ADVICE }) => {
        if (!isGone) setAdvice(CODE_ADVICE[code]);
      },
      // Without it the refusal still says what it is.
      () => undefined,
    );
    return () => {
      isGone = true;
    };
  }, [code]);
  return advice === undefined ? null : <p>{advice}</p>;
}
