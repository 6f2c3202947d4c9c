/**
 * The OpenAPI v2 document in the protobuf form that kubectl asks for (messages of openapi.v2, whose field numbers
 * stand below). Only what our documents contain is written.
 */

type Json = Record<string, unknown>

const LENGTH_DELIMITED = 2
const VARINT = 0

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest > 0x7f) {
    bytes.push((rest % 0x80) + 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return Buffer.from(bytes)
}

function message(field: number, body: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + LENGTH_DELIMITED), varint(body.length), body])
}

const text = (field: number, value: unknown): Buffer =>
  typeof value === 'string' && value !== '' ? message(field, Buffer.from(value)) : EMPTY

const flag = (field: number, value: unknown): Buffer =>
  value === true ? Buffer.concat([varint(field * 8 + VARINT), varint(1)]) : EMPTY

const EMPTY = Buffer.alloc(0)

/** Any value as YAML, of which JSON is a part. */
const any = (value: unknown): Buffer => text(2, `${JSON.stringify(value)}\n`)
const named = (name: string, value: Buffer): Buffer => Buffer.concat([text(1, name), message(2, value)])
const fieldsOf = (value: unknown): Json => (value ?? {}) as Json
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

const extensions = (field: number, value: Json): Buffer[] =>
  Object.entries(value)
    .filter(([name]) => name.startsWith('x-'))
    .map(([name, content]) => message(field, named(name, any(content))))

const namedSchemas = (schemas: Json): Buffer[] =>
  Object.entries(schemas).map(([name, schema]) => message(1, named(name, schemaMessage(fieldsOf(schema)))))

function schemaMessage(schema: Json): Buffer {
  const { items, properties, additionalProperties } = schema
  return Buffer.concat([
    text(1, schema['$ref']),
    text(2, schema['format']),
    text(4, schema['description']),
    ...(schema['default'] === undefined ? [] : [message(5, any(schema['default']))]),
    ...listOf(schema['required']).map(name => text(19, name)),
    ...listOf(schema['enum']).map(value => message(20, any(value))),
    ...(additionalProperties === undefined
      ? []
      : [message(21, message(1, schemaMessage(fieldsOf(additionalProperties))))]),
    ...(schema['type'] === undefined ? [] : [message(22, text(1, schema['type']))]),
    ...(items === undefined ? [] : [message(23, message(1, schemaMessage(fieldsOf(items))))]),
    ...(properties === undefined ? [] : [message(25, Buffer.concat(namedSchemas(fieldsOf(properties))))]),
    ...extensions(31, schema),
  ])
}

/** ParametersItem → Parameter → NonBodyParameter → QueryParameterSubSchema. */
function queryParameter(parameter: Json): Buffer {
  const body = Buffer.concat([
    flag(1, parameter['required']),
    text(2, parameter['in']),
    text(3, parameter['description']),
    text(4, parameter['name']),
    text(6, parameter['type']),
  ])
  return message(1, message(2, message(3, body)))
}

function operationMessage(operation: Json): Buffer {
  return Buffer.concat([
    text(3, operation['description']),
    text(5, operation['operationId']),
    ...listOf(operation['parameters']).map(one => message(8, queryParameter(fieldsOf(one)))),
    message(9, EMPTY),
    ...extensions(13, operation),
  ])
}

function pathsMessage(paths: Json): Buffer {
  const items = Object.entries(paths).map(([path, item]) => {
    const { patch } = fieldsOf(item)
    const body = patch === undefined ? EMPTY : message(8, operationMessage(fieldsOf(patch)))
    return message(2, named(path, body))
  })
  return Buffer.concat(items)
}

/** An openapi.v2.Document out of the JSON document. */
export function encodeDocumentV2(document: Json): Buffer {
  const info = fieldsOf(document['info'])
  return Buffer.concat([
    text(1, document['swagger']),
    message(2, Buffer.concat([text(1, info['title']), text(2, info['version'])])),
    message(8, pathsMessage(fieldsOf(document['paths']))),
    message(9, Buffer.concat(namedSchemas(fieldsOf(document['definitions'])))),
  ])
}
