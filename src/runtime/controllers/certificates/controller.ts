/** Approves nodes' requests for client certificates, signs what was approved, and clears away what is over. */
import { X509Certificate } from 'node:crypto'
import { messageOf } from '../../../base/errors.ts'
import { keyOf } from '../../../client/informer.ts'
import { isConflict, isNotFound } from '../../../client/kube-client.ts'
import { CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS } from '../../../client/resources.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { CertificateSigningRequest } from '../../../kube/types.ts'
import { type RequestedNames, readSigningRequest, signRequest } from '../../pki/signing-requests.ts'
import { endOf, signerOf } from '../../pki/validity.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import {
  ADMINISTRATOR_SIGNER,
  hasCondition,
  isOwnRenewal,
  leftMs,
  recognitions,
  signerProblem,
  validityOf,
} from './plan.ts'

type Csr = CertificateSigningRequest

const SERVICE_ACCOUNT = 'certificate-controller'
/** Timers reach 24 days. */
const LOOK_AGAIN_MS_MAX = 86_400_000

export function createCertificateController(context: ControllerContext): Controller {
  const requests = context.informers.informer<Csr>(CERTIFICATE_SIGNING_REQUESTS)
  const worker = new Certificates(context)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(requests, csr => [keyOf(csr)])],
    async reconcile(name, signal) {
      const csr = requests.get(name)
      if (csr === undefined) return undefined
      try {
        const { resourceVersion } = (await worker.advance(csr))?.metadata ?? {}
        if (resourceVersion !== undefined) await requests.caughtUp(resourceVersion, signal)
      } catch (error) {
        // One that has changed comes back with its change.
        if (!isNotFound(error) && !isConflict(error)) throw error
        return undefined
      }
      return await worker.clear(requests.get(name) ?? csr)
    },
  })
}

class Certificates {
  readonly #context: ControllerContext

  constructor(context: ControllerContext) {
    this.#context = context
  }

  /** The next step, if there is one. */
  async advance(csr: Csr): Promise<Csr | null> {
    if (csr.status?.certificate || hasCondition(csr, 'Denied') || hasCondition(csr, 'Failed')) return null
    const { signerName } = csr.spec
    if (!signerName.startsWith('kubernetes.io/') && signerName !== ADMINISTRATOR_SIGNER) return null
    const isApproved = hasCondition(csr, 'Approved')
    let names: RequestedNames
    try {
      names = await readSigningRequest(requestOf(csr))
    } catch (error) {
      return isApproved ? await this.#fail(csr, `unable to parse csr: ${messageOf(error)}`) : null
    }
    if (!isApproved) return await this.#approve(csr, names)
    const problem = signerProblem(csr, names)
    if (problem === undefined) return null
    return problem === null ? await this.#sign(csr) : await this.#fail(csr, problem)
  }

  /** Deletes it when it is time; otherwise so long until it is to be looked at again. */
  async clear(csr: Csr): Promise<number | undefined> {
    const left = leftMs(csr, certificateEnd(csr), this.#context.clock.now())
    if (left === Number.POSITIVE_INFINITY) return undefined
    if (left > 0) return Math.min(left, LOOK_AGAIN_MS_MAX)
    const { name = '', uid, resourceVersion } = csr.metadata
    try {
      await this.#client.delete(CERTIFICATE_SIGNING_REQUESTS, { name, uid, resourceVersion })
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error
    }
    return undefined
  }

  get #client() {
    return this.#context.client(SERVICE_ACCOUNT)
  }

  async #approve(csr: Csr, names: RequestedNames): Promise<Csr | null> {
    if (isOwnRenewal(csr, names)) {
      const message = "Auto approving an administrator's own certificate."
      return await this.#update(
        withCondition(csr, { type: 'Approved', status: 'True', reason: 'AutoApproved', message }),
        'approval',
      )
    }
    for (const { subresource, message } of recognitions(csr, names)) {
      if (!(await this.#mayAsk(csr, subresource))) continue
      const condition = { type: 'Approved', status: 'True', reason: 'AutoApproved', message }
      return await this.#update(withCondition(csr, condition), 'approval')
    }
    return null
  }

  async #mayAsk({ spec }: Csr, subresource: string): Promise<boolean> {
    const { username: user = '', uid, groups, extra } = spec
    const review: KubeObject = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: {
        ...{ user, groups: groups ?? [] },
        ...(uid ? { uid } : {}),
        ...(extra ? { extra } : {}),
        resourceAttributes: {
          group: 'certificates.k8s.io',
          resource: 'certificatesigningrequests',
          verb: 'create',
          subresource,
          version: '*',
        },
      },
    }
    const answer = await this.#client.create<KubeObject>(SUBJECT_ACCESS_REVIEWS, review)
    return (answer['status'] as { allowed?: boolean } | undefined)?.allowed === true
  }

  async #sign(csr: Csr): Promise<Csr | null> {
    const { settings, clock, random } = this.#context
    const authority = settings.clusterAuthority
    if (authority === undefined) return null
    const validity = validityOf(csr, clock.now(), endOf(signerOf(authority.certificate)))
    const usages = csr.spec.usages ?? []
    const pem = await signRequest(requestOf(csr), { authority, usages, validity, random })
    const certificate = Buffer.from(pem).toString('base64')
    return await this.#update({ ...csr, status: { ...csr.status, certificate } }, 'status')
  }

  #fail(csr: Csr, message: string): Promise<Csr> {
    const condition = { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message }
    return this.#update(withCondition(csr, condition), 'status')
  }

  #update(csr: Csr, subresource: string): Promise<Csr> {
    return this.#client.update<Csr>(CERTIFICATE_SIGNING_REQUESTS, csr, { subresource })
  }
}

const requestOf = ({ spec }: Csr): string => Buffer.from(spec.request, 'base64').toString('utf8')

type Condition = NonNullable<NonNullable<Csr['status']>['conditions']>[number]

function withCondition(csr: Csr, condition: Condition): Csr {
  return { ...csr, status: { ...csr.status, conditions: [...(csr.status?.conditions ?? []), condition] } }
}

/** Null: there is none, or another signer has put something else there. */
function certificateEnd({ status }: Csr): number | null {
  if (!status?.certificate) return null
  try {
    return endOf(new X509Certificate(Buffer.from(status.certificate, 'base64')))
  } catch {
    return null
  }
}
