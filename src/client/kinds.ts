/** The kinds that mk8s' own clients read and write, typed as they are on the wire. Types only. */
import type * as k8s from '@kubernetes/client-node'
import type { ObjectMeta, Wire } from '../kube/object.ts'

/** A kind of the Kubernetes client's types with the head that every object on the wire has. */
export type Kind<T> = Omit<Wire<T>, 'apiVersion' | 'kind' | 'metadata'> & {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
}

export type Pod = Kind<k8s.V1Pod>
export type PodSpec = Wire<k8s.V1PodSpec>
export type PodStatus = Wire<k8s.V1PodStatus>
export type PodCondition = Wire<k8s.V1PodCondition>
export type PodTemplateSpec = Wire<k8s.V1PodTemplateSpec>
export type Container = Wire<k8s.V1Container>
export type Node = Kind<k8s.V1Node>
export type NodeCondition = Wire<k8s.V1NodeCondition>
export type Taint = Wire<k8s.V1Taint>
export type Toleration = Wire<k8s.V1Toleration>
export type Namespace = Kind<k8s.V1Namespace>
export type ConfigMap = Kind<k8s.V1ConfigMap>
export type Secret = Kind<k8s.V1Secret>
export type Service = Kind<k8s.V1Service>
export type ServiceAccount = Kind<k8s.V1ServiceAccount>
export type Event = Kind<k8s.CoreV1Event>
export type ObjectReference = Wire<k8s.V1ObjectReference>
export type Lease = Kind<k8s.V1Lease>
export type EndpointSlice = Kind<k8s.V1EndpointSlice>
export type Endpoint = Wire<k8s.V1Endpoint>
export type EndpointPort = Wire<k8s.DiscoveryV1EndpointPort>
export type Deployment = Kind<k8s.V1Deployment>
export type DeploymentStatus = Wire<k8s.V1DeploymentStatus>
export type DeploymentCondition = Wire<k8s.V1DeploymentCondition>
export type ReplicaSet = Kind<k8s.V1ReplicaSet>
export type ReplicaSetStatus = Wire<k8s.V1ReplicaSetStatus>
export type ReplicaSetCondition = Wire<k8s.V1ReplicaSetCondition>
export type ClusterRole = Kind<k8s.V1ClusterRole>
export type PolicyRule = Wire<k8s.V1PolicyRule>
export type LabelSelector = Wire<k8s.V1LabelSelector>
