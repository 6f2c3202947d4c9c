/** Reads a body whole, up to a limit that the caller names: nobody may fill this process's memory. */

/** Throws what `tooLarge` makes as soon as there are more bytes; the rest is not read. */
export async function readBounded(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  bytesMax: number,
  tooLarge: () => Error = () => new Error(`the body has more than ${bytesMax} bytes`),
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, bytes)
}
