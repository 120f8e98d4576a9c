//! Whose a Gateway is.

use lasthop_api_model::{Gateway, GatewayClass, Parameters};

use crate::{
    index::Reader,
    options::{ClassPolicy, Options},
    problem::Problem,
};

/// Whether every Gateway is ours, because nobody wrote a GatewayClass.
pub(crate) fn owns_everything(reader: &Reader<'_>) -> bool {
    reader.options.class_policy == ClassPolicy::OwnAllWithoutClass && !reader.any_class()
}

/// Whether a Gateway is ours; if so, what its class has against it.
pub(super) fn owns(reader: &Reader<'_>, gateway: &Gateway) -> Option<Result<(), Problem>> {
    if owns_everything(reader) {
        return Some(Ok(()));
    }
    let class = reader.find::<GatewayClass>("", &gateway.spec.gateway_class_name)?;
    if class.spec.controller_name != reader.options.controller_name {
        return None;
    }
    Some(class_problem(class, reader.options).map_or(Ok(()), Err))
}

/// What is wrong with a GatewayClass of ours.
pub(crate) fn class_problem(class: &GatewayClass, options: &Options) -> Option<Problem> {
    let parameters = class.spec.parameters_ref.as_ref()?;
    match &class.spec.parameters {
        Parameters::Good => return None,
        Parameters::Bad(why) => {
            let name = class.metadata.name.as_deref().unwrap_or_default();
            let message = format!("GatewayClass {name}: spec.parametersRef: {why}");
            return Some(Problem::new("InvalidParameters", message));
        }
        Parameters::Unread => {}
    }
    Some(Problem::new(
        "InvalidParameters",
        format!(
            "GatewayClass {}: spec.parametersRef names {} {}; {} takes no parameters, remove the field",
            class.metadata.name.as_deref().unwrap_or_default(),
            parameters.kind,
            parameters.name,
            options.controller_name,
        ),
    ))
}
