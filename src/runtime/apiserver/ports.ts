/** The small interfaces at which the API server's parts meet: who asks, may they, is the object fit. */

import type { KubeResponse, Transport } from '../../client/transport.ts'
import type { ApplySchema } from '../../kube/apply/apply-schema.ts'
import type { FieldRequirement } from '../../kube/field-selector.ts'
import type { LabelRequirement } from '../../kube/labels.ts'
import type { GroupVersionKind, ResourceInfo } from '../../kube/model-types.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { Pod } from '../../kube/types.ts'
import type { UserInfo } from './user.ts'

export interface Credentials {
  /** Subject of the verified client certificate, when the connection has one. */
  readonly certificate?: {
    readonly commonName: string
    readonly organizations: readonly string[]
    /** Of the certificate, hexadecimal. */
    readonly sha256: string
  }
  /** What stands behind `Authorization: Bearer `. */
  readonly bearerToken?: string
  /** That is asked for: some may be open to everybody. */
  readonly path?: string
}

export interface Authenticator {
  /**
   * The user, or null when the credentials are not valid (401). No credentials at all is
   * `system:anonymous` in `system:unauthenticated`.
   */
  authenticate(credentials: Credentials): Promise<UserInfo | null>
}

/** What a request wants to do, in the words of RBAC. */
export interface RequestAttributes {
  readonly user: UserInfo
  /** get list watch create update patch delete deletecollection; for non-resource paths the HTTP method in lower case. */
  readonly verb: string
  /** Non-resource requests: `path` is asked for and the rest is empty. */
  readonly isResource: boolean
  readonly path: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** What a list, a watch or a deletion of many is narrowed to; what cannot be read narrows nothing. */
  readonly fieldSelector?: readonly FieldRequirement[]
  readonly labelSelector?: readonly LabelRequirement[]
}

export interface Decision {
  readonly allowed: boolean
  /** Why, for the 403 message and for SubjectAccessReview; may be empty. */
  readonly reason: string
  /** Nobody else was asked; otherwise a refusal is that nobody had an opinion. */
  readonly isDenied?: boolean
  /** Somebody could not be asked: the request has to fail, because it is not known whether it is allowed. */
  readonly error?: string
}

export interface Authorizer {
  authorize(attributes: RequestAttributes): Decision | Promise<Decision>
}

/** Parsed objects from this node's memory; what comes back must not be changed. */
export interface ObjectReader {
  get(group: string, resource: string, namespace: string, name: string): KubeObject | null
  /** All objects of the resource, of one namespace when given. */
  list(group: string, resource: string, namespace?: string): readonly KubeObject[]
}

export interface NodePodsReader extends ObjectReader {
  /** The pods that are bound to the node, of one namespace when given; all others stay unread. */
  podsOn(node: string, namespace?: string): readonly Pod[]
}

/** One way to see the resource of a request: a group, a version, and the kind that its body has there. */
export interface ResourceForm {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: GroupVersionKind
}

/** The versions in which an admission request can be seen, and the way there and back. */
export interface AdmissionForms {
  /** As the client asked for it. */
  readonly requested: ResourceForm
  /** All versions of the same objects, the requested one too. */
  equivalents(): readonly ResourceForm[]
  /** The object as the form has it; what comes back must not be changed. */
  show(object: KubeObject, form: ResourceForm): KubeObject | Promise<KubeObject>
  /** Makes `request.object` this object of the form: decoded, with defaults, in the stored version. */
  take(patched: unknown, form: ResourceForm): void | Promise<void>
}

/** What the cluster serves, custom resources among it. */
export interface AdmissionCluster {
  readonly objects: ObjectReader
  resourceOfKind(kind: GroupVersionKind): ResourceInfo | undefined
  /** How server-side apply sees the form; undefined when it is no longer served. */
  applySchemaOf(form: ResourceForm): ApplySchema | undefined
}

/** What plugins leave for a second round of the mutating ones, which comes when a webhook or policy changed something. */
export interface Reinvocation {
  readonly isSecond: boolean
  /** A second round is wanted; in the second it changes nothing. */
  wanted: boolean
  /** By plugin. */
  readonly kept: Map<string, unknown>
}

export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  readonly resource: ResourceInfo
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly user: UserInfo
  readonly dryRun: boolean
  /** The new object; null for DELETE. Mutating plugins change it. */
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
  readonly forms: AdmissionForms
  readonly cluster: AdmissionCluster
  readonly reinvocation: Reinvocation
  /** CreateOptions, UpdateOptions or DeleteOptions; null for CONNECT. */
  options(): KubeObject | null
  /** For a Warning header. */
  warn(text: string): void
  /** For the audit log. */
  annotate(key: string, value: string): void
  /** For other programs, so many milliseconds. */
  waited(ms: number): void
  readonly signal: AbortSignal | undefined
}

export interface AdmissionPlugin {
  readonly name: string
  /** It asks other programs, so that it is not run again because this server's memory lagged. */
  readonly callsOut?: true
  /** May change `request.object`; throws StatusError to refuse. */
  admit?(request: AdmissionRequest): void | Promise<void>
  /** Sees the final object; throws StatusError to refuse. */
  validate?(request: AdmissionRequest): void | Promise<void>
}

/** A request for a resource or subresource that is no stored object (token, binding, reviews, log, …). */
export interface VirtualRequest {
  readonly user: UserInfo
  /** `create`, `get`, `update`, … */
  readonly verb: string
  readonly resource: ResourceInfo
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  /** The decoded and checked body, when there is one. */
  readonly body: KubeObject | null
  readonly dryRun: boolean
  readonly signal: AbortSignal
  /** Raft term of the caller, passed on to writes. */
  readonly term?: number
}

/** What a handler may do with stored objects: the same generic path that requests take. */
export interface ObjectWriter {
  /**
   * Reads, lets `change` make the new object out of a copy (null: leave it), validates and writes it,
   * again on conflict. Returns the object as stored. Throws StatusError.
   */
  update(
    target: { readonly resource: ResourceInfo; readonly namespace: string; readonly name: string },
    change: (current: KubeObject) => KubeObject | null,
    options: {
      readonly user: UserInfo
      readonly dryRun?: boolean
      readonly term?: number
      readonly subresource?: string
    },
  ): Promise<KubeObject>
  delete(
    target: { readonly resource: ResourceInfo; readonly namespace: string; readonly name: string },
    options: {
      readonly user: UserInfo
      readonly body?: KubeObject | null
      readonly dryRun?: boolean
      readonly term?: number
    },
  ): Promise<KubeObject>
}

export interface VirtualResult {
  readonly status: number
  /** An API object, which is encoded as the client asked; or a raw response. */
  readonly object?: KubeObject
  readonly response?: KubeResponse
}

export interface VirtualHandler {
  readonly group: string
  readonly resource: string
  /** Empty for the resource itself (TokenReview, SubjectAccessReview). */
  readonly subresource: string
  handle(
    request: VirtualRequest,
    tools: { readonly objects: ObjectReader; readonly writer: ObjectWriter },
  ): Promise<VirtualResult>
}

/** The way to a node's kubelet (pods/log and, later, exec); the server knows addresses and credentials. */
export interface KubeletConnector {
  /** Throws `Mk8sError` when the node is unknown or has no address. */
  connect(nodeName: string): Transport
}
