/** Objects that name no class get the default one: claims a StorageClass, ingresses an IngressClass. */
import type { KubeObject } from '../../../kube/object.ts'
import type { Ingress, PersistentVolumeClaim } from '../../../kube/types.ts'
import type { AdmissionPlugin, ObjectReader } from '../ports.ts'
import { isWhole, refuse } from './refuse.ts'

const STORAGE = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
]
const INGRESS = ['ingressclass.kubernetes.io/is-default-class']

export function defaultStorageClass(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'DefaultStorageClass',
    admit(request) {
      if (request.operation !== 'CREATE' || !isWhole(request, '', 'persistentvolumeclaims')) return
      const claim = request.object as unknown as PersistentVolumeClaim | null
      if (claim?.spec === undefined || claim.spec.storageClassName !== undefined) return
      if (claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] !== undefined) return
      const chosen = newestDefault(objects.list('storage.k8s.io', 'storageclasses'), STORAGE)
      if (chosen?.metadata.name !== undefined) claim.spec.storageClassName = chosen.metadata.name
    },
  }
}

export function defaultIngressClass(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'DefaultIngressClass',
    admit(request) {
      if (request.operation !== 'CREATE' || !isWhole(request, 'networking.k8s.io', 'ingresses')) return
      const ingress = request.object as unknown as Ingress | null
      if (ingress?.spec === undefined || ingress.spec.ingressClassName !== undefined) return
      if (ingress.metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined) return
      const chosen = newestDefault(objects.list('networking.k8s.io', 'ingressclasses'), INGRESS)
      if (chosen?.metadata.name !== undefined) ingress.spec.ingressClassName = chosen.metadata.name
    },
  }
}

/** Of several defaults the newest counts; of equally old ones the first by name. */
function newestDefault(classes: readonly KubeObject[], marks: readonly string[]): KubeObject | undefined {
  const created = (item: KubeObject) => Date.parse(item.metadata.creationTimestamp ?? '') || 0
  const byAge = (a: KubeObject, b: KubeObject) =>
    created(b) - created(a) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1)
  return classes
    .filter(item => marks.some(mark => item.metadata.annotations?.[mark] === 'true'))
    .sort(byAge)[0]
}

/** A claim or volume in use is kept until a controller takes the finalizer away. */
export function storageObjectInUseProtection(): AdmissionPlugin {
  const finalizers: Record<string, string> = {
    persistentvolumeclaims: 'kubernetes.io/pvc-protection',
    persistentvolumes: 'kubernetes.io/pv-protection',
  }
  return {
    name: 'StorageObjectInUseProtection',
    admit({ operation, resource, subresource, object }) {
      const finalizer = resource.group === '' ? finalizers[resource.resource] : undefined
      if (operation !== 'CREATE' || subresource !== '' || finalizer === undefined || object === null) return
      const present = object.metadata.finalizers ?? []
      if (!present.includes(finalizer)) object.metadata.finalizers = [...present, finalizer]
    },
  }
}

/** A claim grows only when its class says that its volumes can. */
export function persistentVolumeClaimResize(objects: ObjectReader): AdmissionPlugin {
  const storageOf = (claim: PersistentVolumeClaim | null) => claim?.spec?.resources?.requests?.['storage']
  return {
    name: 'PersistentVolumeClaimResize',
    validate(request) {
      if (request.operation !== 'UPDATE' || !isWhole(request, '', 'persistentvolumeclaims')) return
      const next = request.object as unknown as PersistentVolumeClaim | null
      const before = request.oldObject as unknown as PersistentVolumeClaim | null
      if (storageOf(next) === storageOf(before)) return
      if (before?.status?.phase !== 'Bound')
        throw refuse(request, 'Only bound persistent volume claims can be expanded')
      const name = before.spec?.storageClassName ?? ''
      const found = name === '' ? null : objects.get('storage.k8s.io', 'storageclasses', '', name)
      if (found?.['allowVolumeExpansion'] === true) return
      throw refuse(
        request,
        'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc ' +
          'must support resize',
      )
    },
  }
}
