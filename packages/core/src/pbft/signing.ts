/** What each message signs (spec PBFT-2): domain ‖ 0x00 ‖ chain ‖ fields of fixed width, or the hash of the body. */
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { HASH_BYTES, sha256, type Hash } from '../crypto/hash.ts';
import { SIGNATURE_DOMAINS, type PublicKey } from '../crypto/signature.ts';
import { voteSigningBytes } from '../ledger/block.ts';
import { stableSigningBytes } from '../ledger/stable-certificate.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import { writeIncludeBody, writeNewViewBody, writeViewChangeBody } from './message-codec.ts';
import type {
  Checkpoint,
  Include,
  Message,
  NewView,
  PrePrepare,
  StableCertificate,
  ViewChange,
  Vote,
} from './messages.ts';

export function prePrepareSigningBytes(chain: Hash, message: Omit<PrePrepare, 'signature'>): Uint8Array {
  const { height, hash } = message.block;
  return voteSigningBytes('prePrepare', { chain, epoch: message.epoch, view: message.view, height, hash });
}

export function voteBytes(chain: Hash, vote: Omit<Vote, 'signature'>): Uint8Array {
  return voteSigningBytes(vote.kind, {
    chain,
    epoch: vote.epoch,
    view: vote.view,
    height: vote.height,
    hash: vote.hash,
  });
}

export function checkpointBytes(
  chain: Hash,
  checkpoint: Pick<Checkpoint | StableCertificate, 'epoch' | 'height' | 'hash' | 'stateRoot'>,
): Uint8Array {
  return stableSigningBytes(chain, checkpoint);
}

export function viewChangeBytes(chain: Hash, message: Omit<ViewChange, 'signature'>): Uint8Array {
  const body = new Writer(1024);
  writeViewChangeBody(body, message);
  return bodySigningBytes(SIGNATURE_DOMAINS.viewChange, chain, body.finish());
}

export function newViewBytes(chain: Hash, message: Omit<NewView, 'signature'>): Uint8Array {
  const body = new Writer(4096);
  writeNewViewBody(body, message);
  return bodySigningBytes(SIGNATURE_DOMAINS.newView, chain, body.finish());
}

export function includeBytes(chain: Hash, message: Omit<Include, 'signature'>): Uint8Array {
  const body = new Writer(1024);
  writeIncludeBody(body, message);
  return bodySigningBytes(SIGNATURE_DOMAINS.include, chain, body.finish());
}

/** Bodies without fixed width are signed by their hash, so that what is signed stays small. */
function bodySigningBytes(domain: string, chain: Hash, body: Uint8Array): Uint8Array {
  return new Writer(128)
    .raw(utf8Encode(domain))
    .u8(0)
    .fixed(chain, HASH_BYTES)
    .fixed(sha256(body), HASH_BYTES)
    .finish();
}

export interface SignedBytes {
  readonly key: PublicKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * The author's signature over the message itself, for shells that verify in native batches: when it holds they
 * call `verifyMessage` with `authorChecked`. Undefined for unsigned kinds and for an unknown author.
 */
export function signatureOf(
  context: { readonly chain: Hash; readonly validators: ValidatorSet },
  message: Message,
): SignedBytes | undefined {
  const key = context.validators[message.sender]?.key;
  if (key === undefined) return undefined;
  switch (message.kind) {
    case 'pre-prepare':
      return { key, message: prePrepareSigningBytes(context.chain, message), signature: message.signature };
    case 'prepare':
    case 'commit':
      return { key, message: voteBytes(context.chain, message), signature: message.signature };
    case 'checkpoint':
      return { key, message: checkpointBytes(context.chain, message), signature: message.signature };
    case 'view-change':
      return { key, message: viewChangeBytes(context.chain, message), signature: message.signature };
    case 'new-view':
      return { key, message: newViewBytes(context.chain, message), signature: message.signature };
    case 'include':
      return { key, message: includeBytes(context.chain, message), signature: message.signature };
    case 'status':
    case 'fetch':
    case 'body':
      return undefined;
  }
}
