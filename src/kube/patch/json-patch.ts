/**
 * JSON patch (RFC 6902), all or nothing. A patch that does not apply is a 422 with upstream's general message and
 * the particular reason as its cause; one that is no patch is a 400.
 */
import { cloneJson, setKey } from '../clone.ts'
import { equalJson } from '../equality.ts'
import { badRequest, requestEntityTooLarge, StatusError } from '../status.ts'

const OPERATIONS_MAX = 10_000
/** Of JSON, that all copies of one patch may add: each copy can double what the next one copies. */
const COPIED_LENGTH_MAX = 3 * 1024 * 1024

interface Operation {
  readonly op: string
  readonly path: string
  readonly from?: string
  readonly value?: unknown
}

type Container = Record<string, unknown> | unknown[]

/** The patched value; neither argument is changed. */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  const operations = readOperations(patch)
  let document = cloneJson(target)
  let copied = 0
  for (const operation of operations) {
    try {
      if (operation.op === 'copy') {
        copied += lengthOf(read(document, operation.from ?? '', 'copy'))
        if (copied > COPIED_LENGTH_MAX) throw new PatchError(tooMuchCopied(copied))
      }
      document = applyOperation(document, operation)
    } catch (error) {
      throw error instanceof PatchError ? refused(error.message) : error
    }
  }
  return document
}

const lengthOf = (value: unknown): number => JSON.stringify(value ?? null).length

const tooMuchCopied = (length: number): string =>
  `Unable to complete the copy, the accumulated size increase of copy is ${length}, ` +
  `exceeding the limit ${COPIED_LENGTH_MAX}`

class PatchError extends Error {}

const refused = (why: string): StatusError =>
  new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'the server rejected our request due to an error in our request',
    reason: 'Invalid',
    details: { causes: [{ reason: 'FieldValueInvalid', message: why }] },
    code: 422,
  })

function readOperations(patch: unknown): Operation[] {
  if (!Array.isArray(patch)) {
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
    )
  }
  if (patch.length > OPERATIONS_MAX) {
    throw requestEntityTooLarge(
      `The allowed maximum operations in a JSON patch is ${OPERATIONS_MAX}, got ${patch.length}`,
    )
  }
  return patch.map(readOperation)
}

function readOperation(item: unknown): Operation {
  const { op, path, from, value } = (
    typeof item === 'object' && item !== null ? item : {}
  ) as Partial<Operation>
  if (typeof op !== 'string' || typeof path !== 'string') {
    throw badRequest('error decoding patch: an operation needs the strings op and path')
  }
  if ((op === 'move' || op === 'copy') && typeof from !== 'string') {
    throw badRequest(`error decoding patch: ${op} needs the string from`)
  }
  return { op, path, value, ...(from === undefined ? {} : { from }) }
}

function applyOperation(document: unknown, { op, path, from = '', value }: Operation): unknown {
  switch (op) {
    case 'add':
      return add(document, path, cloneJson(value ?? null))
    case 'remove':
      return remove(document, path, 'remove')
    case 'replace':
      return replace(document, path, cloneJson(value ?? null))
    case 'test':
      return test(document, path, value ?? null)
    case 'copy':
      return add(document, path, cloneJson(read(document, from, 'copy')))
    case 'move': {
      const moved = read(document, from, 'move')
      return add(remove(document, from, 'move'), path, moved)
    }
    default:
      throw new PatchError(`Unexpected kind: ${op}`)
  }
}

function tokensOf(path: string): string[] {
  if (path === '') return []
  if (!path.startsWith('/')) throw new PatchError(`error in path '${path}': a JSON pointer begins with /`)
  return path
    .slice(1)
    .split('/')
    .map(token => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Container and last token of a path; null when something on the way is missing. */
function locate(document: unknown, tokens: readonly string[]): { container: Container; key: string } | null {
  let container = document
  for (const token of tokens.slice(0, -1)) container = childOf(container, token)
  if (typeof container !== 'object' || container === null) return null
  return { container: container as Container, key: tokens.at(-1) ?? '' }
}

function childOf(container: unknown, token: string): unknown {
  if (typeof container !== 'object' || container === null) return undefined
  if (Array.isArray(container)) {
    const index = indexOf(token, container.length)
    return index === null ? undefined : container[index]
  }
  return Object.hasOwn(container, token) ? (container as Record<string, unknown>)[token] : undefined
}

/** A position in a list of `length`, negative ones counted from the end; null when there is none. */
function indexOf(token: string, length: number): number | null {
  if (!/^[+-]?\d+$/.test(token)) return null
  const index = Number(token) < 0 ? Number(token) + length : Number(token)
  return index >= 0 && index < length ? index : null
}

function missing(op: string, what: 'path' | 'key', path: string): PatchError {
  return new PatchError(`${op} operation does not apply: doc is missing ${what}: ${path}: missing value`)
}

/** An absent field of an object that is there is null, as upstream's library has it; a list has what it has. */
function read(document: unknown, path: string, op: string): unknown {
  const tokens = tokensOf(path)
  if (tokens.length === 0) return document
  const place = locate(document, tokens)
  if (place === null) throw missing(op, 'path', path)
  const { container, key } = place
  if (Array.isArray(container) && indexOf(key, container.length) === null) {
    throw new PatchError(
      `error in ${op} for path: '${path}': Unable to access invalid index: ${key}: invalid index referenced`,
    )
  }
  return childOf(container, key) ?? null
}

function add(document: unknown, path: string, value: unknown): unknown {
  const tokens = tokensOf(path)
  if (tokens.length === 0) return value
  const place = locate(document, tokens)
  if (place === null) throw missing('add', 'path', `"${path}"`)
  const { container, key } = place
  if (!Array.isArray(container)) {
    setKey(container, key, value)
    return document
  }
  const index = key === '-' ? container.length : indexOf(key, container.length + 1)
  if (index === null) {
    throw new PatchError(
      `error in add for path: '${path}': Unable to access invalid index: ${key}: invalid index referenced`,
    )
  }
  container.splice(index, 0, value)
  return document
}

function remove(document: unknown, path: string, op: string): unknown {
  const tokens = tokensOf(path)
  if (tokens.length === 0) throw missing(op, 'path', path)
  const place = locate(document, tokens)
  if (place === null) throw missing(op, 'path', path)
  const { container, key } = place
  if (childOf(container, key) === undefined) {
    throw new PatchError(
      `error in ${op} for path: '${path}': Unable to remove nonexistent key: ${key}: missing value`,
    )
  }
  if (Array.isArray(container)) container.splice(indexOf(key, container.length) ?? 0, 1)
  else delete container[key]
  return document
}

function replace(document: unknown, path: string, value: unknown): unknown {
  const tokens = tokensOf(path)
  if (tokens.length === 0) return value
  const place = locate(document, tokens)
  if (place === null) throw missing('replace', 'path', path)
  const { container, key } = place
  if (!Array.isArray(container)) setKey(container, key, value)
  else {
    const index = indexOf(key, container.length)
    if (index === null) throw missing('replace', 'key', path)
    container[index] = value
  }
  return document
}

function test(document: unknown, path: string, expected: unknown): unknown {
  if (!equalJson(read(document, path, 'test'), expected)) {
    throw new PatchError(`testing value ${path} failed: test failed`)
  }
  return document
}
