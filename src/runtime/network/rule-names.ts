/** Names of chains and sets: what people read, and a hash that tells apart what is cut off (pure). */
import { createHash } from 'node:crypto'

const NAME_LENGTH_MAX = 90
const HASH_LENGTH = 10

export function ruleName(kind: string, key: string, subject: string): string {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, HASH_LENGTH)
  return `${kind}-${hash}-${subject.replaceAll(/[^a-z0-9-]/g, '-')}`.slice(0, NAME_LENGTH_MAX)
}
