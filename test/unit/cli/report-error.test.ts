import assert from 'node:assert/strict'
import test from 'node:test'
import { Mk8sError } from '../../../src/base/errors.ts'
import { plainPaint, renderReport, renderReportAsJson, reportOf } from '../../../src/cli/report-error.ts'
import { StatusError } from '../../../src/kube/status.ts'

const failure = new Mk8sError('store/no-leader', 'the cluster has no leader', {
  why: '1 of 3 members answers\nnode-2 is silent',
  hint: 'mk8s status',
})

test('an expected failure says what, why, what next and its code', () => {
  assert.equal(
    renderReport(reportOf(failure), plainPaint, { debug: false }),
    `Error: the cluster has no leader
  why    1 of 3 members answers
         node-2 is silent
  next   mk8s status
  code   store/no-leader   (docs/errors.md#store-no-leader)
`,
  )
  assert.equal(reportOf(failure).exit, 3)
})

test('the stack appears with --debug only, and always for a bug', () => {
  assert.doesNotMatch(renderReport(reportOf(failure), plainPaint, { debug: false }), /\.ts:/)
  assert.match(renderReport(reportOf(failure), plainPaint, { debug: true }), /\.ts:/)
  const bug = reportOf(new TypeError('x is not a function'))
  assert.equal(bug.exit, 70)
  assert.match(renderReport(bug, plainPaint, { debug: false }), /\.ts:[\s\S]*|report it/)
})

test('what is wrong with the value of a flag is told without the words around it', () => {
  const around = (text: string) => `Parsing --retain \n\t${text}\nSee more help with --help`
  const plain = Object.assign(new Error(around('Expected an integer but received: x')), {
    oclif: { exit: 2 },
  })
  assert.equal(reportOf(plain).what, '--retain: expected an integer but received: x')
  assert.equal(
    reportOf(new Mk8sError('usage', around('--retain x is no span'))).what,
    '--retain x is no span',
  )
})

test('what the API answers is no bug of the command', () => {
  const answer = (code: number, message: string) =>
    reportOf(
      new StatusError({ apiVersion: 'v1', kind: 'Status', metadata: {}, status: 'Failure', code, message }),
    )
  const refused = answer(403, 'pods is forbidden')
  assert.deepEqual([refused.what, refused.code], ['pods is forbidden', 'api/refused'])
  const closed = answer(503, 'the store is closed')
  assert.deepEqual([closed.code, closed.why], ['api/unreachable', ['the store is closed']])
})

test('as JSON it is one object', () => {
  const { error } = JSON.parse(renderReportAsJson(reportOf(failure), { debug: false }))
  assert.equal(error.code, 'store/no-leader')
  assert.equal(error.exit, 3)
  assert.equal(error.stack, undefined)
})

test('what oclif calls a usage error is one of ours, with the nearest flag', () => {
  const error = Object.assign(new Error('Nonexistent flag: --fromat'), {
    oclif: { exit: 2 },
    flags: ['--fromat'],
  })
  const report = reportOf(error, ['--format', '--json'])
  assert.deepEqual([report.exit, report.code, report.next], [2, 'usage', 'did you mean --format?'])
})
