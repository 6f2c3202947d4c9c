/** What the kubelet asks of drivers of devices that claims are met with, in the .proto language; two versions alike. */

const versioned = (version: string): string => `
package k8s.io.kubelet.pkg.apis.dra.${version};

service DRAPlugin {
  rpc NodePrepareResources(NodePrepareResourcesRequest) returns (NodePrepareResourcesResponse);
  rpc NodeUnprepareResources(NodeUnprepareResourcesRequest) returns (NodeUnprepareResourcesResponse);
}
message NodePrepareResourcesRequest { repeated Claim claims = 1; }
message NodePrepareResourcesResponse { map<string, NodePrepareResourceResponse> claims = 1; }
message NodePrepareResourceResponse { repeated Device devices = 1; string error = 2; }
message Device {
  repeated string request_names = 1;
  string pool_name = 2;
  string device_name = 3;
  repeated string cdi_device_ids = 4;
  string share_id = 5;
}
message NodeUnprepareResourcesRequest { repeated Claim claims = 1; }
message NodeUnprepareResourcesResponse { map<string, NodeUnprepareResourceResponse> claims = 1; }
message NodeUnprepareResourceResponse { string error = 1; }
message Claim { string namespace = 1; string uid = 2; string name = 3; }
`

/** The newest first: by what a driver says it serves, the protocol and the service's full name. */
export const DRA_VERSIONS = ['v1', 'v1beta1'].map(version => ({
  offered: `${version}.DRAPlugin`,
  proto: versioned(version),
  service: `k8s.io.kubelet.pkg.apis.dra.${version}.DRAPlugin`,
}))

/** What a driver may serve beside that. */
export const DRA_HEALTH_SERVICE = 'v1alpha1.DRAResourceHealth'
export const DRA_HEALTH_PROTO = `
package v1alpha1;

service DRAResourceHealth {
  rpc NodeWatchResources(NodeWatchResourcesRequest) returns (stream NodeWatchResourcesResponse);
}
message NodeWatchResourcesRequest {}
enum HealthStatus { UNKNOWN = 0; HEALTHY = 1; UNHEALTHY = 2; }
message DeviceIdentifier { string pool_name = 1; string device_name = 2; }
message DeviceHealth {
  DeviceIdentifier device = 1;
  HealthStatus health = 2;
  int64 last_updated_time = 3;
  int64 health_check_timeout_seconds = 4;
  string message = 5;
}
message NodeWatchResourcesResponse { repeated DeviceHealth devices = 1; }
`
