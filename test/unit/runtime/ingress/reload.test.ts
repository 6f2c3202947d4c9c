/** 1,000 routes that change while requests come: none is lost, and no connection ends. */
import assert from 'node:assert/strict'
import { Agent, request as httpRequest } from 'node:http'
import test from 'node:test'
import type { KubeObject } from '../../../../src/kube/object.ts'
import { compileRouting, matchRoute } from '../../../../src/runtime/ingress/routing-table.ts'
import { EMPTY_WORLD, type World } from '../../../../src/runtime/ingress/world.ts'
import {
  changesOf,
  ingress,
  ingressClass,
  SETTINGS,
  service,
  startBackend,
  startRouter,
} from '../../../support/ingress.ts'

const ROUTES = 1_000
const REQUESTS = 1_000
const CLIENTS = 8

test('a table of 1,000 routes that changes under load loses no request and no connection', async () => {
  const backends = await Promise.all(
    ['one', 'two'].map(name =>
      startBackend((request, response) => response.end(`${name} ${request.headers.host}`)),
    ),
  )
  const [first, second] = backends.map(({ port }) => `127.0.0.1:${port}`)
  const routes = Array.from({ length: ROUTES }, (_, at) =>
    ingress(`r${at}`, [{ host: `h${at}.test`, service: 'web' }]),
  )
  const router = await startRouter([
    ingressClass(),
    ...service('web', [first ?? '', second ?? '']),
    ...routes,
  ])
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
  const sockets = new Set<unknown>()
  const ask = (host: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const request = httpRequest(
      { host: '127.0.0.1', port: router.http, agent, headers: { host } },
      async response => {
        let body = ''
        for await (const chunk of response) body += chunk
        resolve(`${response.statusCode} ${body}`)
      },
    )
    request.on('socket', socket => sockets.add(socket))
    request.on('error', reject)
    request.end()
    return promise
  }
  let asked = 0
  let reloads = 0
  const client = async () => {
    while (asked < REQUESTS) {
      const at = asked++
      if (at % 20 === 0) {
        // Another endpoint, another path, one route more and one less.
        const [, ...slices] = service('web', at % 40 === 0 ? [first ?? ''] : [first ?? '', second ?? ''])
        router.change(...slices, ingress(`n${at}`, [{ host: `n${at}.test`, service: 'web' }]))
        router.router.change([['ingresses', `default/n${at - 20}`, null]])
        reloads++
      }
      const host = `h${(at * 7) % ROUTES}.test`
      assert.match(await ask(host), new RegExp(`^200 (one|two) ${host}$`))
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  assert.equal(reloads, REQUESTS / 20)
  assert.equal(sockets.size, CLIENTS)
  agent.destroy()
  await router.close()
  for (const { server } of backends) server.close()
  for (const { server } of backends) server.closeAllConnections()
})

test('a lookup does not cost more with more routes', () => {
  const cost = (count: number) => {
    const objects: KubeObject[] = [ingressClass(), ...service('web', ['10.1.0.7:80'])]
    for (let at = 0; at < count; at++) objects.push(ingress(`r${at}`, [{ path: `/p${at}`, service: 'web' }]))
    const world = structuredClone(EMPTY_WORLD) as unknown as Record<string, KubeObject[]>
    for (const [kind, , object] of changesOf(objects)) if (object) world[kind]?.push(object)
    const table = compileRouting(world as unknown as World, SETTINGS)
    const common = {
      door: 'http',
      scheme: 'http',
      host: 'x.test',
      query: '',
      method: 'GET',
      header: () => undefined,
    } as const
    const begun = process.hrtime.bigint()
    for (let at = 0; at < 20_000; at++) {
      assert.ok(matchRoute(table, { ...common, path: `/p${at % count}/deep/er` }))
    }
    return Number(process.hrtime.bigint() - begun)
  }
  cost(10)
  assert.ok(cost(5_000) < 20 * cost(10))
})
