/** HTTP/2's error codes, and the error that ends a connection with one of them. Source: RFC 9113, section 7. */

export const http2Errors = {
  none: 0,
  protocol: 1,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const

export type Http2Code = (typeof http2Errors)[keyof typeof http2Errors]

export class Http2Error extends Error {
  override readonly name = 'Http2Error'
  readonly code: Http2Code

  constructor(code: Http2Code, message: string) {
    super(message)
    this.code = code
  }
}
