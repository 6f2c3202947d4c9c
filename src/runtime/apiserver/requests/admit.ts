/** Runs the admission plugins over one object, in their order; the mutating half twice when a plugin asks for it. */

import type { KubeObject } from '../../../kube/object.ts'
import { StatusError } from '../../../kube/status.ts'
import type { ApiContext } from '../context.ts'
import type {
  AdmissionCluster,
  AdmissionForms,
  AdmissionPlugin,
  AdmissionRequest,
  Reinvocation,
} from '../ports.ts'
import type { UserInfo } from '../user.ts'
import type { AdmissionSubject } from './admission-forms.ts'
import { createAdmissionForms } from './admission-forms.ts'
import { fellBehind } from './fell-behind.ts'
import { applySchemaOf } from './field-tracking.ts'

/** The mutating half: plugins change `subject.object` in place. */
export async function admitMutating(context: ApiContext, subject: AdmissionSubject): Promise<void> {
  const kept = new Map<string, unknown>()
  const first = { isSecond: false, wanted: false, kept }
  await runAll(context, new Request(context, subject, first), 'admit')
  if (!first.wanted) return
  const second = { isSecond: true, wanted: false, kept }
  await runAll(context, new Request(context, subject, second), 'admit')
}

/** The validating half: plugins see what will be stored. */
export async function admitValidating(context: ApiContext, subject: AdmissionSubject): Promise<void> {
  const none = { isSecond: false, wanted: false, kept: new Map<string, unknown>() }
  await runAll(context, new Request(context, subject, none), 'validate')
}

async function runAll(context: ApiContext, request: Request, half: 'admit' | 'validate'): Promise<void> {
  for (const plugin of context.admission) {
    if (plugin[half] === undefined) continue
    if (plugin.callsOut === true) await plugin[half](request)
    else await twice(context, plugin, request, half)
  }
}

/** What a plugin looks for, such as a namespace, may have been made through another server a moment ago. */
async function twice(
  context: ApiContext,
  plugin: AdmissionPlugin,
  request: Request,
  half: 'admit' | 'validate',
): Promise<void> {
  try {
    await plugin[half]?.(request)
  } catch (error) {
    if (!(error instanceof StatusError) || !(await fellBehind(context.store, undefined))) throw error
    await plugin[half]?.(request)
  }
}

/** What most plugins never ask for is made when one does. */
class Request implements AdmissionRequest {
  readonly reinvocation: Reinvocation
  readonly #context: ApiContext
  readonly #subject: AdmissionSubject
  #forms: AdmissionForms | undefined

  constructor(context: ApiContext, subject: AdmissionSubject, reinvocation: Reinvocation) {
    this.#context = context
    this.#subject = subject
    this.reinvocation = reinvocation
  }

  get operation(): AdmissionRequest['operation'] {
    return this.#subject.operation
  }

  get resource(): AdmissionRequest['resource'] {
    return this.#subject.resource.info
  }

  get subresource(): string {
    return this.#subject.subresource
  }

  get namespace(): string {
    return this.#subject.namespace
  }

  get name(): string {
    return this.#subject.name
  }

  get user(): UserInfo {
    return this.#subject.caller.user
  }

  get dryRun(): boolean {
    return this.#subject.caller.dryRun
  }

  get object(): KubeObject | null {
    return this.#subject.object
  }

  get oldObject(): KubeObject | null {
    return this.#subject.oldObject
  }

  get signal(): AbortSignal | undefined {
    return this.#subject.caller.signal
  }

  get forms(): AdmissionForms {
    this.#forms ??= createAdmissionForms(this.#context, this.#subject)
    return this.#forms
  }

  get cluster(): AdmissionCluster {
    const context = this.#context
    const { resources, objects } = context
    return {
      objects,
      resourceOfKind: ({ group, version, kind }) =>
        resources.all.find(
          ({ info }) => info.group === group && info.version === version && info.kind === kind,
        )?.info,
      applySchemaOf(form) {
        const served = resources.find(form.group, form.version, form.resource)
        return served === undefined ? undefined : applySchemaOf(context, served)
      },
    }
  }

  options(): KubeObject | null {
    const { operation, caller } = this.#subject
    return operation === 'CONNECT' ? null : (caller.origin?.options(operation) ?? null)
  }

  warn(text: string): void {
    this.#subject.caller.origin?.warn(text)
  }

  annotate(key: string, value: string): void {
    this.#subject.caller.origin?.annotate(key, value)
  }

  waited(ms: number): void {
    this.#subject.caller.origin?.waited(ms)
  }
}
