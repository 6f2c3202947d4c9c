/**
 * The Huffman code of HPACK. It is canonical: the lengths of the codes, in the order of the bytes they stand for,
 * say everything. Source: RFC 7541, appendix B.
 */
import { Http2Error, http2Errors } from './errors.ts'

const CODE_BITS_MAX = 30
const END_OF_STRING = 256
/** Bits of the code of each byte; behind them the end of the string. */
const lengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
  28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
  8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
  13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
  28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
  22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
  22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
  25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
]

/** Two entries per node: where each bit leads. Beyond zero the next node, below zero the byte -1 - entry. */
const tree = buildTree()

function buildTree(): Int16Array {
  const nodes = new Int16Array(2 * lengths.length)
  let [code, used] = [0, 1]
  for (let bits = 1; bits <= CODE_BITS_MAX; bits++, code *= 2) {
    for (const [symbol, length] of lengths.entries()) {
      if (length !== bits) continue
      let node = 0
      for (let bit = bits - 1; bit > 0; bit--) {
        const at = 2 * node + ((code >>> bit) & 1)
        if (nodes[at] === 0) nodes[at] = used++
        node = nodes[at] ?? 0
      }
      nodes[2 * node + (code & 1)] = -1 - symbol
      code++
    }
  }
  return nodes
}

export function decodeHuffman(bytes: Buffer): string {
  let [text, node, depth, ones] = ['', 0, 0, true]
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const value = (byte >>> bit) & 1
      const next = tree[2 * node + value] ?? 0
      depth++
      ones &&= value === 1
      if (next >= 0) {
        node = next
        continue
      }
      const symbol = -1 - next
      if (symbol === END_OF_STRING) throw paddingError()
      text += String.fromCharCode(symbol)
      node = 0
      depth = 0
      ones = true
    }
  }
  // What is left over of the last byte is the beginning of the end of the string, which is all ones.
  if (depth > 7 || !ones) throw paddingError()
  return text
}

function paddingError(): Http2Error {
  return new Http2Error(http2Errors.compression, 'a header is padded in a way that is not allowed')
}
