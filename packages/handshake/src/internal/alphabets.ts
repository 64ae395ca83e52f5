// The alphabets of the signed strings. Their fields are joined by `|` and `,`, so a field that could hold either would
// let one signature stand for two meanings. Both sides hold to them: the signer before it signs, the gate before it reads.

/** Platform and device family: printable ASCII without `|`. */
export const METADATA_PATTERN = /^[\x20-\x7b\x7d\x7e]{1,64}$/

/** Tokens and join codes: printable ASCII without blanks and `|`. An empty one says that there is none. */
export const SECRET_PATTERN = /^[\x21-\x7b\x7d\x7e]{0,512}$/

/** The nonce of a challenge: base64url, or a UUID. */
export const NONCE_PATTERN = /^[A-Za-z0-9_-]{1,128}$/

/** The nonce of a client: 32 bytes in base64url. */
export const CLIENT_NONCE_PATTERN = /^[A-Za-z0-9_-]{43}$/

/** What was dialled: an IP literal in canonical spelling, or a host name in lower case. */
export const ADDRESS_PATTERN = /^[a-z0-9._:-]{1,253}$/

/** The last port there is. The first is 1. */
export const MAX_PORT = 65_535

/** One link of a delegation, as a JWS in compact form. How long a chain may be is for its verification to say. */
export const LINK_PATTERN = /^[A-Za-z0-9_.-]{1,12288}$/

/** Most links of a delegation. */
export const MAX_LINKS = 8
