import assert from 'node:assert/strict'
import test from 'node:test'
import { plainPaint } from '../../../src/cli/report-error.ts'
import { renderNotRunning, renderStatus } from '../../../src/cli/status-view.ts'
import { parseYamlDocuments } from '../../../src/kube/yaml.ts'
import { nodeStatus } from '../../support/node-status.ts'

const show = (format: 'pretty' | 'short' | 'yaml' | 'json', over = {}) =>
  renderStatus(nodeStatus(over), format, plainPaint)

test('pretty has the lines that scripts look for', () => {
  assert.equal(
    show('pretty'),
    `mk8s is running
node: a (10.0.0.1) is Ready
runtime: process (chosen)
high-availability: no
  one member
  datastore master nodes: 10.0.0.1:19001
  datastore standby nodes: none
addons:
  enabled:
    dns                  # (core) CoreDNS
  disabled:
`,
  )
})

test('a node that is not ready says why', () => {
  const components = [{ name: 'kubelet', ok: false, reason: 'the runtime does not answer' }]
  const text = show('pretty', { ready: false, components })
  assert.match(text, /^mk8s is running but not ready\n {2}kubelet: the runtime does not answer\n/)
})

test('five problems are shown with what to do next, and all of them are in JSON', () => {
  const problems = Array.from({ length: 7 }, (_, at) => ({
    object: `pod/default/p${at}`,
    reason: 'ImagePullBackOff',
    message: 'no such image',
    next: `look at p${at}`,
  }))
  const text = show('pretty', { problems })
  assert.match(
    text,
    /^problems:\n {2}pod\/default\/p0: ImagePullBackOff: no such image\n {4}next: look at p0\n/m,
  )
  assert.match(text, /p4[\s\S]*and 2 more/)
  assert.doesNotMatch(text, /p5/)
  assert.equal(JSON.parse(show('json', { problems })).problems.length, 7)
  assert.match(show('yaml', { problems }), /p6/)
})

test('yaml has the keys that MicroK8s has, json all of it', () => {
  const [yaml] = parseYamlDocuments(show('yaml')) as [
    Record<string, { running?: boolean; nodes?: unknown[] }>,
  ]
  assert.equal(yaml['mk8s']?.running, true)
  assert.equal(yaml['high-availability']?.nodes?.length, 1)
  const json = JSON.parse(show('json'))
  assert.deepEqual([json.running, json.ready, json.datastore.term], [true, true, 1])
  assert.equal(show('short'), 'mk8s is running\ncore/dns: enabled\n')
})

test('a node that does not run is told in every format', () => {
  assert.match(renderNotRunning('pretty', 'port taken'), /^mk8s is not running\n {2}port taken\n/)
  assert.match(
    renderNotRunning('pretty', 'it ended\nthe disk is full'),
    /^ {2}it ended\n {2}the disk is full$/m,
  )
  assert.equal(renderNotRunning('short', ''), 'mk8s is not running\n')
  assert.equal(JSON.parse(renderNotRunning('json', '')).running, false)
  assert.match(renderNotRunning('yaml', ''), /running: false/)
})
