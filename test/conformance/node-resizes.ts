/** Resizes in place that conformance asks for: what containers have before and are given; node.test.ts does them. */
import { IMAGE } from '../support/container-cluster.ts'

interface Resources {
  readonly requests?: Readonly<Record<string, string>>
  readonly limits?: Readonly<Record<string, string>>
}

export interface Resize {
  readonly name: string
  readonly before: readonly Resources[]
  readonly after: readonly Resources[]
  /** The pod is replaced instead of patched. */
  readonly replaces?: boolean
}

const guaranteed = (cpu: string, memory: string): Resources => ({
  ...{ requests: { cpu, memory }, limits: { cpu, memory } },
})
const three = [guaranteed('20m', '20Mi'), guaranteed('30m', '30Mi'), guaranteed('40m', '40Mi')]
const GUARANTEED = 'Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - '
const BURSTABLE = 'Pod InPlace Resize Container burstable pods - extended '

export const resizes: readonly Resize[] = [
  {
    name: `${GUARANTEED}increase cpu & mem on c1, c2, decrease cpu & mem on c3 - net increase`,
    before: three,
    after: [guaranteed('40m', '40Mi'), guaranteed('50m', '50Mi'), guaranteed('30m', '30Mi')],
  },
  {
    name: `${GUARANTEED}increase cpu & mem on c1, decrease cpu & mem on c2, c3 - net decrease`,
    before: three,
    after: [guaranteed('25m', '25Mi'), guaranteed('20m', '20Mi'), guaranteed('20m', '20Mi')],
  },
  {
    name: `${GUARANTEED}increase: CPU (c1,c3), memory (c2, c3) ; decrease: CPU (c2)`,
    before: three,
    after: [guaranteed('30m', '20Mi'), guaranteed('20m', '40Mi'), guaranteed('50m', '50Mi')],
  },
  {
    name: `${BURSTABLE}6 containers - various operations performed (including adding limits and requests)`,
    before: [
      {},
      { requests: { cpu: '20m' } },
      { requests: { cpu: '20m' }, limits: { cpu: '40m' } },
      { requests: { memory: '20Mi' } },
      { requests: { cpu: '20m', memory: '20Mi' }, limits: { cpu: '20m', memory: '20Mi' } },
      { requests: { cpu: '30m', memory: '20Mi' } },
    ],
    after: [
      { requests: { cpu: '20m' } },
      { requests: { cpu: '20m' }, limits: { cpu: '40m' } },
      { requests: { cpu: '40m' }, limits: { cpu: '60m' } },
      { requests: { memory: '20Mi' }, limits: { memory: '40Mi' } },
      { requests: { cpu: '30m', memory: '30Mi' }, limits: { cpu: '30m', memory: '30Mi' } },
      { requests: { cpu: '20m', memory: '30Mi' } },
    ],
  },
  {
    name: `${BURSTABLE}resize with equivalents`,
    before: [{ requests: { cpu: '2m' }, limits: { cpu: '10m' } }],
    after: [{ requests: { cpu: '1m' }, limits: { cpu: '5m' } }],
  },
  {
    name: 'Pod InPlace Resize Container resize pod via the replace endpoint',
    before: [guaranteed('20m', '20Mi')],
    after: [guaranteed('40m', '40Mi')],
    replaces: true,
  },
]

/** The containers of such a pod. */
export const containersOf = (resources: readonly Resources[]) =>
  resources.map((each, index) => ({
    ...{ name: `c${index + 1}`, image: IMAGE, command: ['sh', '-c', 'exec sleep 3600'], resources: each },
  }))
