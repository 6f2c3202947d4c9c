/** Turns paths in the notation of OpenAPI version 3 into that of version 2; pure. */

type Json = Record<string, unknown>

const fieldsOf = (value: unknown): Json => (value ?? {}) as Json
const METHODS = ['get', 'put', 'post', 'patch', 'delete']
const ANSWER_TYPES = ['application/json', 'application/yaml']

/** The references in schemas have to be those of version 2 already. */
export function pathsOfV2(paths: Json): Json {
  const items = Object.entries(paths).map(([path, item]) => [path, itemOfV2(fieldsOf(item))])
  return Object.fromEntries(items)
}

function itemOfV2(item: Json): Json {
  const operations = METHODS.filter(method => item[method] !== undefined).map(method => [
    method,
    operationOfV2(fieldsOf(item[method])),
  ])
  return { ...Object.fromEntries(operations), parameters: parametersOfV2(item['parameters']) }
}

function operationOfV2({ parameters, requestBody, responses, ...rest }: Json): Json {
  const content = fieldsOf(fieldsOf(requestBody)['content'])
  const schema = fieldsOf(Object.values(content)[0])['schema']
  const body = requestBody === undefined ? [] : [{ name: 'body', in: 'body', required: true, schema }]
  const all = [...parametersOfV2(parameters), ...body]
  return {
    ...rest,
    ...(requestBody === undefined ? {} : { consumes: Object.keys(content) }),
    produces: ANSWER_TYPES,
    schemes: ['https'],
    ...(all.length > 0 ? { parameters: all } : {}),
    responses: responsesOfV2(fieldsOf(responses)),
  }
}

function parametersOfV2(parameters: unknown): Json[] {
  const list = Array.isArray(parameters) ? (parameters as Json[]) : []
  return list.map(({ schema, ...rest }) => ({ ...rest, ...fieldsOf(schema) }))
}

function responsesOfV2(responses: Json): Json {
  const made = Object.entries(responses).map(([code, response]) => {
    const { description, content } = fieldsOf(response)
    const schema = fieldsOf(fieldsOf(content)['application/json'])['schema']
    return [code, { description, ...(schema === undefined ? {} : { schema }) }]
  })
  return Object.fromEntries(made)
}
