/** The proof of a reading as a file, and the command that checks it. Pure. */
export interface ProofFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly command: string;
}

export function proofFile(
  payload: string,
  answer: { readonly proof: string; readonly genesis: string },
): ProofFile {
  const name = `reading-${payload.slice(0, 12)}.proof`;
  return {
    name,
    bytes: fromBase64url(answer.proof),
    command: `itc verify ${name} --genesis ${answer.genesis}`,
  };
}

/** RFC 4648 §5, padding optional. Throws on anything else: the node does not send it. */
export function fromBase64url(text: string): Uint8Array {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, ''));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
