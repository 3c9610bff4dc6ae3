/**
 * One error class, one table of codes (spec/errors.md lists them with what to do). Operating trouble in a
 * shell throws `LedgerError`; bad input is returned with one of these codes; in the ledger it is a receipt.
 */
export const ERROR_CODES = {
  'decode.truncated': 'The bytes end too early.',
  'decode.trailing': 'Bytes follow the end of the structure.',
  'decode.too-long': 'A length or count exceeds its limit.',
  'decode.out-of-range': 'A number is out of range.',
  'decode.not-canonical': 'The bytes are not the one canonical form.',
  'decode.unknown-kind': 'The kind or algorithm is not known.',
  'hex.malformed': 'Not hexadecimal.',
  'address.malformed': 'Not an itc1… address.',
  'signature.invalid': 'The signature does not verify.',
  'transaction.wrong-chain': 'Signed for another chain.',
  'transaction.nonce': 'The nonce is not the next one of its lane.',
  'transaction.expired': 'The transaction was valid only up to an earlier height.',
  'transaction.fee': 'The fee is below the price of the bytes.',
  'transaction.balance': 'The account cannot pay amount and fee.',
  'transaction.too-large': 'The transaction exceeds its size limit.',
  'transaction.duplicate': 'The transaction is known already.',
  'account.unknown': 'No such account.',
  'maker.unknown': 'The sender is not a registered maker.',
  'maker.exists': 'The sender is a maker already.',
  'maker.malformed': 'The name of the maker is not acceptable.',
  'batch.unknown': 'No such device batch.',
  'batch.exists': 'This batch is registered already.',
  'batch.malformed': 'The count of the batch is not acceptable.',
  'device.unknown': 'No such device.',
  'device.claimed': 'The device has an owner already.',
  'device.not-in-batch': 'The path does not lead to the root of the batch.',
  'device.not-owner': 'The sender does not own the device.',
  'claim.signature': 'The claim is not signed by the claim key of the device.',
  'claim.endorsement': 'The device did not endorse this claim key.',
  'voucher.malformed': 'Not a device voucher of the known form.',
  'voucher.checksum': 'A character of the voucher is wrong: its checksum does not match.',
  'grant.unknown': 'No such grant.',
  'grant.malformed': 'The grant contradicts itself.',
  'subnet.unknown': 'No such subnet.',
  'subnet.exists': 'This subnet exists already.',
  'subnet.malformed': 'Members or parameters of the subnet are not acceptable.',
  'checkpoint.sender': 'Only a member sends checkpoints of its subnet.',
  'checkpoint.sequence': 'Not the next checkpoint of its subnet.',
  'checkpoint.previous': 'The checkpoint does not follow the last one.',
  'checkpoint.quorum': 'Signatures below two thirds of the stake.',
  'checkpoint.signature': 'A signature of the checkpoint does not verify.',
  'pool.full': 'The pool of waiting transactions is full; try again later.',
  'envelope.malformed': 'The envelope breaks a rule of form.',
  'envelope.unknown-issuer': 'The issuer is not a member of the subnet.',
  'envelope.proof-of-work': 'The proof of work is below the required bits.',
  'envelope.sequence': 'The sequence does not follow the issuer’s last envelope.',
  'envelope.equivocation': 'Another envelope holds this slot of the issuer.',
  'envelope.too-old': 'The envelope approves only what is below the depth limit.',
  'envelope.from-future': 'The time lies too far ahead.',
  'envelope.anchor': 'The anchor is not a checkpoint known here.',
  'envelope.payloads': 'The payloads are not those the envelope commits to.',
  'envelope.pool-full': 'Too many envelopes of this issuer are waiting already.',
  'payload.malformed': 'Not a COSE_Sign1 payload of the known form.',
  'payload.signature': 'The payload’s signature does not verify.',
  'payload.duplicate': 'This payload is known already.',
  'payload.stale': 'The sequence number lies below the window of its lane.',
  'payload.too-large': 'The payload exceeds its size limit.',
  'payload.unknown-device': 'The device is not registered to an owner.',
  'payload.not-senml': 'The content is not SenML.',
  'peer.handshake': 'The peer could not show its ledger key.',
  'peer.unknown': 'The peer is not allowed here.',
  'peer.flood': 'The peer sends more than its share.',
  'peer.message': 'The peer sent a malformed message.',
  'peer.timeout': 'The peer did not answer in time.',
  'peer.gone': 'The connection to the peer ended.',
  'peer.busy': 'The peer, or this node, has too many requests open.',
  'login.refused': 'Login refused.',
  'request.unauthorised': 'The request is not signed by someone allowed to make it.',
  'request.malformed': 'The request does not have the documented form.',
  'not-found': 'Nothing is known under this name.',
  'not-ready': 'The node is not ready to answer this.',
  'storage.corrupt': 'Stored bytes do not have the expected checksum.',
  'storage.full': 'The disk is full.',
  'storage.failed': 'The disk refused an operation.',
  'key.malformed': 'The key file does not have the documented form.',
  'key.passphrase': 'The passphrase does not open the key file.',
  'key.exists': 'A key file is there already.',
  'config.invalid': 'The configuration is not acceptable.',
  'port.taken': 'The port is taken by another program.',
  internal: 'A bug of ours. Please report it.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export class LedgerError extends Error {
  readonly code: ErrorCode;
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LedgerError';
    this.code = code;
    this.fields = fields;
  }
}
