/** Ingresses, their classes and network policies: what is refused, in upstream's words. */
import { createTable, updateTable } from './tables.ts'

const LABEL = (name: string, value: string) =>
  `${name}: Invalid value: "${value}": a lowercase RFC 1123 label must consist of lower case alphanumeric characters ` +
  "or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for " +
  "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

const backend = { service: { name: 'web', port: { number: 80 } } }
const paths = (...list: object[]) => ({ spec: { rules: [{ http: { paths: list } }] } })
const path = (fields: object) => paths({ path: '/', pathType: 'Prefix', backend, ...fields })

createTable({
  key: 'networking.k8s.io/ingresses',
  kind: 'Ingress',
  valid: { spec: { defaultBackend: backend, tls: [{ hosts: ['*.a.b', 'c.d'], secretName: 'cert' }] } },
  rows: [
    [
      'nothing to lead to',
      { spec: { defaultBackend: undefined } },
      ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified'],
    ],
    ['a path of every kind', path({ path: '', pathType: 'ImplementationSpecific' }), []],
    [
      'paths that are none',
      paths(
        { path: 'a', pathType: 'Exact', backend },
        { path: '/a//b/..', pathType: 'Prefix', backend },
        { path: 'x', pathType: 'ImplementationSpecific', backend },
        { path: '/', pathType: 'Regex', backend },
        { path: '/', backend: {} },
      ),
      [
        'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
        'spec.rules[0].http.paths[1].path: Invalid value: "/a//b/..": must not contain \'//\'',
        'spec.rules[0].http.paths[1].path: Invalid value: "/a//b/..": cannot end with \'/..\'',
        'spec.rules[0].http.paths[2].path: Invalid value: "x": must be an absolute path',
        'spec.rules[0].http.paths[3].pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"',
        'spec.rules[0].http.paths[4].pathType: Required value: pathType must be specified',
      ],
    ],
    [
      'no paths',
      { spec: { rules: [{ http: { paths: [] } }] } },
      ['spec.rules[0].http.paths: Required value'],
    ],
    [
      'backends that lead nowhere',
      paths(
        { path: '/', pathType: 'Exact', backend: {} },
        { path: '/', pathType: 'Exact', backend: { service: { name: 'Web' } } },
        { path: '/', pathType: 'Exact', backend: { service: { name: 'a', port: { name: 'x', number: 1 } } } },
        { path: '/', pathType: 'Exact', backend: { service: { name: 'a', port: { number: 70000 } } } },
        { path: '/', pathType: 'Exact', backend: { resource: { kind: '', name: 'a/b' } } },
        { path: '/', pathType: 'Exact', backend: { ...backend, resource: { kind: 'A', name: 'b' } } },
      ),
      [
        'spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required',
        LABEL('spec.rules[0].http.paths[1].backend.service.name', 'Web'),
        'spec.rules[0].http.paths[1].backend: Required value: port name or number is required',
        'spec.rules[0].http.paths[2].backend: Invalid value: "": cannot set both port name & port number',
        'spec.rules[0].http.paths[3].backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive',
        'spec.rules[0].http.paths[4].backend.resource.kind: Required value',
        'spec.rules[0].http.paths[4].backend.resource.name: Invalid value: "a/b": may not contain \'/\'',
        'spec.rules[0].http.paths[5].backend: Invalid value: "": cannot set both resource and service backends',
      ],
    ],
    [
      'an address as host, and a wildcard in the middle',
      { spec: { rules: [{ host: '10.0.0.1' }, { host: 'a.*.b' }] } },
      [
        'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
        'spec.rules[1].host: Invalid value: "a.*.b": a wildcard DNS-1123 subdomain must start with \'*.\', followed by a ' +
          "valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an " +
          "alphanumeric character (e.g. '*.example.com', regex used for validation is " +
          "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
      ],
    ],
  ],
})

createTable({
  key: 'networking.k8s.io/ingresses',
  kind: 'Ingress',
  metadata: { annotations: { 'kubernetes.io/ingress.class': 'old' } },
  valid: { spec: { defaultBackend: backend } },
  rows: [
    [
      'two classes',
      { spec: { ingressClassName: 'new' } },
      [
        'annotations.kubernetes.io/ingress.class: Invalid value: "old": must match `ingressClassName` when both are specified',
      ],
    ],
  ],
})

const parameters = (fields: object) => ({ spec: { parameters: { kind: 'Config', name: 'a', ...fields } } })
const classes = {
  key: 'networking.k8s.io/ingressclasses',
  kind: 'IngressClass',
  valid: { spec: { controller: 'example.com/ingress' } },
}
createTable({
  ...classes,
  rows: [
    ['parameters', parameters({}), []],
    [
      'a controller without a path',
      { spec: { controller: 'nginx' } },
      ['spec.controller: Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")'],
    ],
    [
      'a controller that is too long',
      { spec: { controller: `a.b/${'c'.repeat(250)}` } },
      ['spec.controller: Too long: may not be more than 250 bytes'],
    ],
    [
      'a namespace that its parameters are not in',
      parameters({ namespace: 'a' }),
      ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
    ],
    [
      'parameters in no namespace',
      parameters({ scope: 'Namespace' }),
      ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
    ],
    [
      'a scope that is none',
      parameters({ scope: 'World', kind: '' }),
      [
        'spec.parameters.kind: Required value',
        'spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace"',
      ],
    ],
  ],
})
updateTable({
  ...classes,
  rows: [
    ['parameters', parameters({}), []],
    [
      'another controller',
      { spec: { controller: 'example.com/other' } },
      ['spec.controller: Invalid value: "example.com/other": field is immutable'],
    ],
  ],
})

const ingress = (...rules: object[]) => ({ spec: { ingress: rules } })
createTable({
  key: 'networking.k8s.io/networkpolicies',
  kind: 'NetworkPolicy',
  valid: {
    spec: {
      podSelector: {},
      ingress: [{ ports: [{ port: 80, endPort: 90 }], from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }],
      egress: [{ to: [{ podSelector: {}, namespaceSelector: {} }] }],
    },
  },
  rows: [
    [
      'ranges of ports that are none',
      ingress({
        ports: [
          { port: 80, endPort: 70 },
          { port: 'http', endPort: 70 },
          { endPort: 70 },
          { port: 0 },
          { port: 'HTTP!' },
          { protocol: 'ICMP' },
        ],
      }),
      [
        'spec.ingress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`',
        'spec.ingress[0].ports[1].endPort: Invalid value: 70: may not be specified when `port` is non-numeric',
        'spec.ingress[0].ports[2].endPort: Invalid value: 70: may not be specified when `port` is not specified',
        'spec.ingress[0].ports[3].port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'spec.ingress[0].ports[4].port: Invalid value: "HTTP!": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.ingress[0].ports[4].port: Invalid value: "HTTP!": must contain at least one letter (a-z)',
        'spec.ingress[0].ports[5].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
      ],
    ],
    [
      'networks that can be read in two ways',
      ingress({
        from: [
          { ipBlock: { cidr: '10.0.0.1/8', except: ['10.1.0.0/016'] } },
          { ipBlock: { cidr: '010.0.0.0/8' } },
          { ipBlock: { cidr: '::ffff:10.0.0.0/104' } },
          { ipBlock: { cidr: 'fd00::/8' } },
        ],
      }),
      [
        'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length',
        'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.1.0.0/016": must not have leading 0s in IP or prefix length',
        'spec.ingress[0].from[1].ipBlock.cidr: Invalid value: "010.0.0.0/8": must not have leading 0s in IP or prefix length',
        'spec.ingress[0].from[2].ipBlock.cidr: Invalid value: "::ffff:10.0.0.0/104": must not have an IPv4-mapped IPv6 address',
      ],
    ],
    [
      'peers that are none',
      ingress({
        from: [
          {},
          { podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } },
          { ipBlock: { cidr: '' } },
          { ipBlock: { cidr: '10.0.0.0' } },
          { ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.0/8', '11.0.0.0/16', 'x', '10.1.0.0/16'] } },
        ],
      }),
      [
        'spec.ingress[0].from[0]: Required value: must specify a peer',
        'spec.ingress[0].from[1]: Forbidden: may not specify both ipBlock and another peer',
        'spec.ingress[0].from[2].ipBlock.cidr: Required value',
        'spec.ingress[0].from[3].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        'spec.ingress[0].from[4].ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
        'spec.ingress[0].from[4].ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        'spec.ingress[0].from[4].ipBlock.except[2]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
      ],
    ],
    [
      'a direction that is none',
      { spec: { policyTypes: ['Sideways'] } },
      ['spec.policyTypes[0]: Unsupported value: "Sideways": supported values: "Ingress", "Egress"'],
    ],
    [
      'three directions',
      { spec: { policyTypes: ['Ingress', 'Egress', 'Ingress'] } },
      [
        'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes',
      ],
    ],
  ],
})

updateTable({
  key: 'networking.k8s.io/networkpolicies',
  kind: 'NetworkPolicy',
  valid: {
    spec: {
      podSelector: {},
      egress: [{ to: [{ ipBlock: { cidr: '10.0.0.1/8', except: ['10.9.1.1/16'] } }] }],
    },
  },
  rows: [
    [
      'networks of before the rules became strict',
      { spec: { egress: [], ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.1/8' } }] }] } },
      [],
    ],
    [
      'another such network',
      { spec: { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.2/8' } }] }] } },
      [
        'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.2/8": must not have bits set beyond the prefix length',
      ],
    ],
  ],
})
