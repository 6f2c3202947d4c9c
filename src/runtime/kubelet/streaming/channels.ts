/** Channels in websocket messages: a byte (or a digit and base64) that names the channel, then the data. Pure. */

export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const

const ZERO_DIGIT = 0x30

export interface ChannelMessage {
  readonly channel: number
  readonly data: Buffer
}

/** What is to be sent: bytes as a binary message, a string as a text message. */
export function encodeMessage(channel: number, data: Buffer, isBase64: boolean): Buffer | string {
  if (isBase64) return `${channel}${data.toString('base64')}`
  const message = Buffer.allocUnsafe(data.length + 1)
  message[0] = channel
  data.copy(message, 1)
  return message
}

/** Null for a message without a channel. */
export function decodeMessage(message: Buffer, isBase64: boolean): ChannelMessage | null {
  const first = message[0]
  if (first === undefined) return null
  if (!isBase64) return { channel: first, data: message.subarray(1) }
  const channel = first - ZERO_DIGIT
  if (channel < 0 || channel > 9) return null
  return { channel, data: Buffer.from(message.toString('latin1', 1), 'base64') }
}
