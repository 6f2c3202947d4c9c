/** The name of the manager when the request does not say it: the program in its User-Agent. */

const NAME_BYTES_MAX = 128
const UNKNOWN = 'unknown'

export function managerName(fieldManager: string, userAgent: string): string {
  const name = fieldManager === '' ? programOf(userAgent) : fieldManager
  return name === '' ? UNKNOWN : name
}

function programOf(userAgent: string): string {
  let name = ''
  let bytes = 0
  for (const character of userAgent.split('/')[0] ?? '') {
    if (!isPrintable(character)) continue
    bytes += Buffer.byteLength(character)
    if (bytes > NAME_BYTES_MAX) break
    name += character
  }
  return name
}

/** Letters, marks, numbers, punctuation, symbols and the plain space. */
const isPrintable = (character: string): boolean => /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character)
