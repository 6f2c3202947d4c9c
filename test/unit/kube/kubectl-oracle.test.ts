/** Quantities and YAML compared with real kubectl, which reads and writes them with Kubernetes' own code. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { canonicalQuantity } from '../../../src/kube/quantity.ts'
import { parseYaml } from '../../../src/kube/yaml.ts'
import { KUBECTL, otherKubectl, run } from '../../support/kubectl.ts'

const kubectl = existsSync(KUBECTL) ? KUBECTL : otherKubectl()
const skip = kubectl === null && 'no kubectl here'

const kubectlJson = async (args: readonly string[], input: string): Promise<unknown> => {
  const { code, stdout, stderr } = await run(kubectl ?? '', [...args, '--local', '-f', '-', '-o', 'json'], {
    input,
  })
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

const numbers =
  '0 00 0.0 1 10 1000 1500 1.5 0.1 0.0001 1.0000000001 0.500 1.500 0.050 007 5. .5 +1 -1.5 3.14159'
const suffixed =
  '500m 1000m 1.5k 1000k 10E 1E 1u 1500u 1000n 0.3n 1.1n 1Ki 1024Ki 0.5Ki 1.1Gi 1.25Gi 10Ei 8Gi +8Gi 1023.5Ki'
const exponents =
  '1e3 1E3 1e-3 1.5e3 15e2 1e0 1e1 12e-1 1.5e1 1e19 1e20 3e-10 10e2 -0.5Ki 9223372036854775808'

test('quantities are written as Kubernetes writes them', { skip }, async () => {
  const texts = [numbers, suffixed, exponents].flatMap(line => line.split(' '))
  const limits = Object.fromEntries(texts.map((text, index) => [`example.com/r${index}`, text]))
  const spec = { containers: [{ name: 'c', image: 'i', resources: { limits } }] }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec }
  const printed = (await kubectlJson(['set', 'image', 'c=j'], JSON.stringify(pod))) as { spec: typeof spec }
  const written = printed.spec.containers[0]?.resources.limits ?? {}
  for (const [index, text] of texts.entries()) {
    assert.equal(canonicalQuantity(text), written[`example.com/r${index}`], text)
  }
})

test('YAML means what it means to kubectl', { skip }, async () => {
  const scalars =
    '0644, 0o17, 1_000, 0x1F, 0b11, yes, no, on, off, y, n, Y, N, TRUE, 2001-01-01, 12:30:45, 1e3, .5, 1., +5, -5, ' +
    '08, 0.10, ~, null, "yes", 1_0.5, -0, 0x, 1__0, _1, 5e, 1E5, 1e+5, 6.0, "a", 0b2, 0o8, 1e, --1, .'
  const text = [
    'apiVersion: v1',
    'kind: ConfigMap',
    'metadata: {name: a, labels: {a: b}}',
    `list: [${scalars}]`,
    'keys: {n: 1, 5: 2, yes: 3, 1.5: 4}',
    'base: &base {x: 1, y: {z: [1, 2]}}',
    'merged:',
    '  <<: *base',
    '  w: 2',
    'folded: >-',
    '  a',
    '  b',
    '',
  ].join('\n')
  assert.deepEqual(parseYaml(text), await kubectlJson(['label', 'a=b', '--overwrite'], text))
})
