/** The authorizer of admission policies: `authorizer.group('apps').resource('deployments').check('create')`. */
import { parseLabelSelector } from '../../labels.ts'
import { StatusError } from '../../status.ts'
import { method, type Overload } from '../functions.ts'
import { BOOL, opaque, STRING } from '../types.ts'
import { OpaqueValue } from '../values.ts'

export interface AuthorizerQuestion {
  /** Another user, a service account; undefined for the user of the request. */
  readonly serviceAccount?: { readonly namespace: string; readonly name: string }
  readonly path?: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly fieldSelector?: string
  readonly labelSelector?: string
}

export interface AuthorizerAnswer {
  readonly allowed: boolean
  readonly reason: string
  readonly error?: string
}

/** Answers at once; an answer that takes time is thrown as something to wait for by whoever provides this. */
export type Authorize = (question: AuthorizerQuestion, verb: string) => AuthorizerAnswer

const AUTHORIZER = opaque('kubernetes.authorization.Authorizer')
const PATH = opaque('kubernetes.authorization.PathCheck')
const GROUP = opaque('kubernetes.authorization.GroupCheck')
const RESOURCE = opaque('kubernetes.authorization.ResourceCheck')
const DECISION = opaque('kubernetes.authorization.Decision')

export { AUTHORIZER, RESOURCE as RESOURCE_CHECK }

const NOTHING: AuthorizerQuestion = { group: '', resource: '', subresource: '', namespace: '', name: '' }

class Check extends OpaqueValue {
  readonly type
  readonly authorize: Authorize
  readonly question: AuthorizerQuestion

  constructor(type: OpaqueValue['type'], authorize: Authorize, question: AuthorizerQuestion) {
    super()
    this.type = type
    this.authorize = authorize
    this.question = question
  }

  with(type: OpaqueValue['type'], more: Partial<AuthorizerQuestion>): Check {
    return new Check(type, this.authorize, { ...this.question, ...more })
  }

  equals(other: OpaqueValue): boolean {
    return other === this
  }
}

class DecisionValue extends OpaqueValue {
  readonly type = DECISION
  readonly answer: AuthorizerAnswer

  constructor(answer: AuthorizerAnswer) {
    super()
    this.answer = answer
  }

  equals(other: OpaqueValue): boolean {
    return other === this
  }
}

export const authorizerValue = (authorize: Authorize): OpaqueValue =>
  new Check(AUTHORIZER, authorize, NOTHING)

/** `authorizer.requestResource`: what the request itself is about. */
export const resourceCheckValue = (authorize: Authorize, question: AuthorizerQuestion): OpaqueValue =>
  new Check(RESOURCE, authorize, question)

function withLabels(check: Check, labelSelector: string): Check {
  try {
    parseLabelSelector(labelSelector)
    return check.with(RESOURCE, { labelSelector })
  } catch (error) {
    if (error instanceof StatusError) return check
    throw error
  }
}

const CHECK_COST = 350_000
const check = (subject: Check, verb: string): DecisionValue =>
  new DecisionValue(subject.authorize(subject.question, verb))
const expensive = { cost: () => CHECK_COST }

const step = (
  name: string,
  from: OpaqueValue['type'],
  to: OpaqueValue['type'],
  more: (text: string) => Partial<AuthorizerQuestion>,
): Overload =>
  method(name, [[from, STRING], to], (subject: Check, text: string) => subject.with(to, more(text)))

export const authorizers: readonly Overload[] = [
  step('path', AUTHORIZER, PATH, path => ({ path })),
  step('group', AUTHORIZER, GROUP, group => ({ group })),
  method(
    'serviceAccount',
    [[AUTHORIZER, STRING, STRING], AUTHORIZER],
    (subject: Check, namespace: string, name: string) =>
      subject.with(AUTHORIZER, { serviceAccount: { namespace, name } }),
  ),
  step('resource', GROUP, RESOURCE, resource => ({ resource })),
  step('subresource', RESOURCE, RESOURCE, subresource => ({ subresource })),
  step('namespace', RESOURCE, RESOURCE, namespace => ({ namespace })),
  step('name', RESOURCE, RESOURCE, name => ({ name })),
  step('fieldSelector', RESOURCE, RESOURCE, fieldSelector => ({ fieldSelector })),
  method('labelSelector', [[RESOURCE, STRING], RESOURCE], withLabels),
  method('check', [[PATH, STRING], DECISION], check, expensive),
  method('check', [[RESOURCE, STRING], DECISION], check, expensive),
  method('allowed', [[DECISION], BOOL], ({ answer }: DecisionValue) => answer.allowed),
  method('reason', [[DECISION], STRING], ({ answer }: DecisionValue) => answer.reason),
  method('errored', [[DECISION], BOOL], ({ answer }: DecisionValue) => answer.error !== undefined),
  method('error', [[DECISION], STRING], ({ answer }: DecisionValue) => answer.error ?? ''),
]
